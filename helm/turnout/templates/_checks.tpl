{{/* Refuses values that would render and then not run, every mistake at once, with its remedy. */}}
{{- define "turnout.checks" -}}
{{- $server := .Values.config.server -}}
{{- $problems := list -}}
{{- $everywhere := "^(0[.]0[.]0[.]0|\\[::\\]):[0-9]+$" -}}
{{- range list "listen" "metrics_listen" -}}
{{- $address := get $server . | default "" -}}
{{- if not (regexMatch $everywhere $address) -}}
{{- $problems = append $problems (printf "config.server.%s is '%s': a pod is reached from outside; use 0.0.0.0:PORT or [::]:PORT" . $address) -}}
{{- end -}}
{{- end -}}
{{- if eq (include "turnout.port" $server.listen) (include "turnout.port" $server.metrics_listen) -}}
{{- $problems = append $problems "config.server: listen and metrics_listen need different ports" -}}
{{- end -}}
{{- with $server.admin_listen -}}
{{- if not (regexMatch "^(127[.]|localhost:|\\[::1\\]:)" .) -}}
{{- $problems = append $problems (printf "config.server.admin_listen is '%s': whoever reaches it rules the gateway; use 127.0.0.1:PORT and kubectl port-forward" .) -}}
{{- end -}}
{{- end -}}
{{- if gt (int (default 1 $server.workers)) 1 -}}
{{- $problems = append $problems "config.server.workers: one process a pod; set replicas instead" -}}
{{- end -}}
{{- range $name, $_ := .Values.env -}}
{{- if hasPrefix "TURNOUT_SERVER__" $name -}}
{{- $problems = append $problems (printf "env.%s: the chart must know it; set it in config.server" $name) -}}
{{- else if regexMatch "(KEY|TOKEN|SECRET|PASSWORD|PEPPER)$" $name -}}
{{- $problems = append $problems (printf "env.%s looks like a secret; keep it in a Secret and name that in secrets" $name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.persistence.enabled (or .Values.autoscaling.enabled (gt (int .Values.replicas) 1)) -}}
{{- $problems = append $problems "persistence.enabled: the ledger's SQLite file has one process; set replicas: 1 and autoscaling.enabled: false" -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- $problems = append $problems "autoscaling.minReplicas is more than maxReplicas" -}}
{{- end -}}
{{- if and .enabled (not .cpu) (not .inFlight) -}}
{{- $problems = append $problems "autoscaling needs cpu or inFlight to scale by" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.istio.enabled $server.tls -}}
{{- $problems = append $problems "istio.enabled: the sidecar speaks TLS for the pod; remove config.server.tls" -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n  - %s" (join "\n  - " $problems)) -}}
{{- end -}}
{{- end -}}
