package store_test

import (
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// wholeReads are the declarations whose statements give every row, with the reason why that is right. Whatever grows
// with use is read in pages, or by what is asked for.
func wholeReads() map[string]string {
	return map[string]string{
		// The directory: it is read when it has changed, and kept in memory. Whoever may write it bounds it.
		"selectDefinitions": "directory", "selectAssignments": "directory", "selectDenials": "directory",
		"selectMemberships": "directory",
		"selectPeople":      "directory", "selectMakers": "directory", "selectDisabled": "directory",
		"MembershipsBy": "the places that somebody gave themselves, and the groups that they are in by them: " +
			"a part of the directory",
		"selectRegroupings":   "the same, of those that they left",
		"selectTenants":       "made by who runs the server",
		"selectSubscriptions": "at most 1,000 of a tenant",
		"selectGroups":        "at most 10,000 of a subscription",
		"selectMigrations":    "files of this program",

		"selectDecisions":       "of one request, by people who may decide it, once each for a digest",
		"selectGrantsOfRequest": "a series becomes 1,000 grants at most, and a request has 1,000 items",
		"GrantsOfRequests":      "the same, of requests that are a page",
		"selectRecalls":         "one for each person or machine of which much is being ended, for some seconds",
		"selectSites": "the machines and scopes where one person has something: bounded by their quotas, " +
			"and each has to be authorized",
		"selectAgentsOpen": "the agents of those: each has to be told",
		"selectLastRequests": "a row for each person, beside a directory that has them all; the rest is counted " +
			"by the database",
		"selectActivations":  "the same, of those who may activate one thing",
		"listScopePolicies":  "at most 200 of a tenant",
		"listSwitches":       "one of a subscription or a resource group that was disabled once",
		"selectAgentsWithin": "each has to be told that what it guards may be another by now",
		"selectPolicyEntries": "a whole policy is what Azure's clients ask for; a page of policies ends when " +
			"10,000 machines are in it",
		"selectWritten": "the same, of which a save writes what is other",
		"sceneText":     "a desired state is whole: what an agent guards, and what is open there",
	}
}

// TestNoStatementGrowsUnseen reads the source of this package: a statement without a page, or with a limit beyond a
// page, is one of those above.
func TestNoStatementGrowsUnseen(t *testing.T) {
	t.Parallel()
	large := regexp.MustCompile(`limit (\d+)`)
	reasons, seen := wholeReads(), map[string]bool{}
	look := func(name string, n ast.Node) {
		pages, builds := false, false
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				text, err := strconv.Unquote(n.Value)
				if n.Kind != token.STRING || err != nil {
					return true
				}
				pages = pages || strings.Contains(text, " limit ")
				for _, found := range large.FindAllStringSubmatch(text, -1) {
					most, err := strconv.Atoi(found[1])
					// which counts no further
					if (err != nil || most > 10_000) && name != "everyRow" && name != "countBacklog" {
						t.Errorf("%s reads %d rows: page it, or end it with everyRow and say why", name, most)
					}
				}
			case *ast.Ident:
				if n.Name == "everyRow" && name != "everyRow" {
					seen[name], pages = true, true
				}
				pages = pages || n.Name == "page" || n.Name == "limit" || n.Name == "named" || n.Name == "held"
			case *ast.CallExpr:
				called, ok := n.Fun.(*ast.Ident)
				builds = builds || ok && called.Name == "from"
			}
			return true
		})
		if builds && !pages && name != "policiesWith" { // which two lists share
			t.Errorf("%s builds a statement without a limit", name)
		}
	}
	for _, file := range parsed(t) {
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				look(d.Name.Name, d)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok {
						look(v.Names[0].Name, v)
					}
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if reasons[name] == "" {
			t.Errorf("%s gives every row: page it, or say here why that is right", name)
		}
	}
	for name := range reasons {
		if !seen[name] {
			t.Errorf("%s is gone, and its reason is still here", name)
		}
	}
}
