package turnout

import "encoding/json"

// serviceConfig says what gRPC may do by itself. UNAVAILABLE alone is tried again, and only before
// response headers; the gateway's pushback says when. The throttle stops retries once they are
// most of what is sent.
func serviceConfig(maxAttempts int, healthCheck bool) string {
	method := map[string]any{"name": []any{map[string]any{}}}
	if maxAttempts > 1 {
		method["retryPolicy"] = map[string]any{
			"maxAttempts":          maxAttempts,
			"initialBackoff":       "0.2s",
			"maxBackoff":           "5s",
			"backoffMultiplier":    2,
			"retryableStatusCodes": []string{"UNAVAILABLE"},
		}
	}
	config := map[string]any{
		"loadBalancingConfig": []any{map[string]any{"round_robin": map[string]any{}}},
		"methodConfig":        []any{method},
		"retryThrottling":     map[string]any{"maxTokens": 100, "tokenRatio": 0.1},
	}
	if healthCheck {
		config["healthCheckConfig"] = map[string]any{"serviceName": ""}
	}
	text, err := json.Marshal(config)
	if err != nil {
		panic(err) // maps of strings and numbers always marshal
	}
	return string(text)
}
