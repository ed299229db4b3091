"""The wire of OpenAI's chat completions and embeddings, and of all who copied it.

client      one call of Provider, one HTTP request
encode      request to body; messages.py holds the conversation, options.py what a row may say
decode      bytes to events; assembly.py grows the answer out of the shapes of chunks.py
failures    their errors to ours
"""
