{{/* The port of an address of the configuration, such as 0.0.0.0:50051. */}}
{{- define "turnout.port" -}}
{{- regexFind "[0-9]+$" (. | toString) -}}
{{- end -}}

{{/* Whole seconds, rounded up, of a duration of the configuration, such as 500ms or 1.5m. */}}
{{- define "turnout.seconds" -}}
{{- $text := . | toString | trim -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 -}}
{{- $amount := regexFind "^[0-9]+([.][0-9]+)?" $text -}}
{{- $unit := trimPrefix $amount $text | trim -}}
{{- if or (not $amount) (not (hasKey $units $unit)) -}}
{{- fail (printf "config.server: '%s' is no duration; write a number with a unit (ms, s, m, h, d), such as 30s" $text) -}}
{{- end -}}
{{- mulf (float64 $amount) (get $units $unit) | ceil | int -}}
{{- end -}}

{{/*
How long the pod may take to end: calls are still taken for the lame duck, those under way have the
grace; then 3 s for the last records, 3 s for spans and log lines, and some to spare.
*/}}
{{- define "turnout.terminationSeconds" -}}
{{- $server := .Values.config.server -}}
{{- $lameDuck := include "turnout.seconds" (default "5s" $server.lame_duck) | int -}}
{{- $grace := include "turnout.seconds" (default "30s" $server.drain_grace) | int -}}
{{- add $lameDuck $grace 10 -}}
{{- end -}}

{{/* What a change of must replace the pods. */}}
{{- define "turnout.rolloutChecksum" -}}
{{- $config := .Values.config -}}
{{- if eq .Values.configRollout "startup" -}}
{{- $config = pick $config "server" "cache" "limits" "batching" "usage" "telemetry" -}}
{{- $limits := omit (default dict $config.limits) "tenants" -}}
{{- $config = empty $limits | ternary (omit $config "limits") (set $config "limits" $limits) -}}
{{- end -}}
{{- toYaml $config | sha256sum -}}
{{- end -}}
