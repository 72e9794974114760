package cli

import (
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// What a decision gives is shown whole: from where, at which scope, and for how long.
func TestAccessIsShownWhole(t *testing.T) {
	t.Parallel()
	until := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	got := accessTexts(style{local: time.UTC}, api.Request{Items: []api.Item{
		{Machine: "web-1", Ports: "22", Protocol: "tcp", Sources: []string{"203.0.113.7/32"}, ForSeconds: 3600},
		{Machine: "web-1", Ports: "22", Protocol: "tcp", Sources: []string{"0.0.0.0/0", "::/0"}, ForSeconds: 60},
		{
			Machine: "db-1", Ports: "5432", Protocol: "tcp", Sources: []string{"10.0.0.0/8"}, Networks: []string{"office"},
			Until: &until,
		},
		{Role: &api.RoleAt{Name: "Owner", Scope: "/subscriptions/s"}, ForSeconds: 7200},
	}})
	want := []string{
		"web-1:22/tcp from 203.0.113.7/32 for 1h",
		"web-1:22/tcp from anywhere (0.0.0.0/0, ::/0) for 1m",
		"db-1:5432/tcp from office (10.0.0.0/8) until 2030-01-07 09:00:00 UTC",
		"role Owner at /subscriptions/s for 2h",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// A role never gives more than its file says, and no part of a file is passed over.
func TestFilesAreReadWhole(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"name: r\npermissions: [{actions: ['*']}]\nnotActions: ['*/delete']\n",
		"name: r\npermissions: [{actions: ['*']}]\nnotDataActions: ['*']\n",
		"name: r\nactions: ['*/read']\n---\nname: s\n",
		"",
	} {
		var r roleFile
		_, err := readDocument("role.yaml", []byte(text), &r)
		if err == nil {
			_, err = r.whole()
		}
		if err == nil {
			t.Errorf("taken: %q", text)
		}
	}
	var r roleFile
	if _, err := readDocument("role.yaml", []byte("---\nname: r\nactions: ['*']\nnotActions: ['*/delete']\n"), &r); err != nil {
		t.Fatal(err)
	}
	if in, err := r.whole(); err != nil || len(in.Permissions) != 1 || len(in.Permissions[0].NotActions) != 1 {
		t.Errorf("%+v, %v", in, err)
	}
}
