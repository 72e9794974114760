package api_test

import (
	"context"
	"fmt"
	"log"

	"github.com/postern-dev/postern/api"
)

// Sign in with a password, and list the machines that are guarded.
func ExampleClient_SignIn() {
	server, ca := running() // such as https://postern.example:8443, and the CA certificate of the server, PEM
	ctx := context.Background()

	client, err := api.NewClient(api.Options{Server: server, CA: ca})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	session, err := client.SignIn(ctx, api.SignIn{Name: "ann", Password: password})
	if err != nil {
		log.Fatal(err)
	}
	client = client.WithToken(session.Token)

	for machine, err := range client.Machines(ctx, api.MachineQuery{Standing: "configured"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(machine.Name, machine.Addresses)
	}
	// Output: web-1 [192.0.2.10]
}

// Ask for a port, for half an hour and from one address. Where the policy approves by itself, the grants are in the
// answer; otherwise the request says who decides.
func ExampleClient_Submit() {
	ctx := context.Background()
	client := signedIn(ctx, "ann")
	defer client.Close()

	request, err := client.Submit(ctx, api.NewRequest{
		Items:         []api.NewItem{{Machine: "web-1", Ports: "22", Sources: []string{"203.0.113.7"}}},
		ForSeconds:    1800,
		Justification: "roll back release 42",
	}, api.NewIdempotencyKey()) // a call that is repeated with the same key happens once
	if err != nil {
		log.Fatal(err) // an *api.Problem has every reason for a refusal
	}
	fmt.Println(request.State)
	for _, approval := range request.Approvals {
		fmt.Println("to be decided by", approval.Deciders)
	}

	if _, err := client.CancelRequest(ctx, request.ID, "not needed any more"); err != nil {
		log.Fatal(err)
	}
	// Output:
	// pending
	// to be decided by [bob]
}

// Approve what waits for the caller. A decision names the digest of what was shown: had the request or its policy
// changed since, it would be refused.
func ExampleClient_Decide() {
	ctx := context.Background()
	client := signedIn(ctx, "bob")
	defer client.Close()
	askedByAnn(ctx)

	for request, err := range client.Requests(ctx, api.RequestQuery{NeedsMe: true}) {
		if err != nil {
			log.Fatal(err)
		}
		item := request.Items[0]
		fmt.Printf("%s asks for port %s of %s from %v\n", request.Requester, item.Ports, item.Machine, item.Sources)
		decided, err := client.Decide(ctx, request.ID, api.NewDecision{
			Approve: true, Comment: "seen with Ann", Digest: request.Digest,
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(decided.State, "with", len(decided.Grants), "grant")
	}
	// Output:
	// ann asks for port 22 of web-1 from [203.0.113.7/32]
	// approved with 1 grant
}
