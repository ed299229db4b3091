module github.com/turnout-dev/turnout/bench/clients/go

go 1.25.0

require github.com/turnout-dev/turnout/clients/go v0.1.0

require (
	github.com/google/uuid v1.6.0 // indirect
	github.com/turnout-dev/turnout/generated/go v0.1.0 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260825221802-da73d73af1c5 // indirect
	google.golang.org/grpc v1.84.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace (
	github.com/turnout-dev/turnout/clients/go => ../../../clients/go
	github.com/turnout-dev/turnout/generated/go => ../../../generated/go
)
