from collections import Counter

from turnout_server.policy.affinity import conversation_prefix, rank_by_affinity

TARGETS = ["openai/a", "claude/b", "local/c", "vllm/d"]


def prefixes(count: int) -> list[bytes]:
    return [conversation_prefix([b"tenant", b"system", str(n).encode()]) for n in range(count)]


def test_a_conversation_always_prefers_the_same_target() -> None:
    for prefix in prefixes(50):
        assert rank_by_affinity(prefix, TARGETS) == rank_by_affinity(prefix, TARGETS[::-1])


def test_conversations_spread_evenly() -> None:
    firsts = Counter(rank_by_affinity(prefix, TARGETS)[0] for prefix in prefixes(4000))
    assert all(850 < firsts[target] < 1150 for target in TARGETS)


def test_only_the_conversations_of_a_lost_target_move() -> None:
    for prefix in prefixes(200):
        before = rank_by_affinity(prefix, TARGETS)
        after = rank_by_affinity(prefix, [t for t in TARGETS if t != "claude/b"])
        assert after == [t for t in before if t != "claude/b"]


def test_a_heavier_target_gets_its_share() -> None:
    firsts = Counter(
        rank_by_affinity(prefix, ["x", "y"], weight=lambda t: 3.0 if t == "x" else 1.0)[0]
        for prefix in prefixes(4000)
    )
    assert 2850 < firsts["x"] < 3150


def test_parts_are_told_apart() -> None:
    assert conversation_prefix([b"ab", b"c"]) != conversation_prefix([b"a", b"bc"])
    assert conversation_prefix([b"ab"]) != conversation_prefix([b"ab", b""])
