package cli

import (
	"context"
	"iter"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

const (
	enoughNames    = 100             // are offered
	namesPatience  = 3 * time.Second // is how long somebody who pressed the tab key waits
	nameAndMeaning = "\t"            // is between a name and what a shell shows beside it
)

// namer asks the server for names that may begin as what was typed so far.
type namer func(ctx context.Context, cl *api.Client, typed string) iter.Seq2[string, error]

// eachName names the items of a list.
func eachName[T any](list iter.Seq2[T, error], name func(T) string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for item, err := range list {
			if !yield(name(item), err) {
				return
			}
		}
	}
}

func principals(kind string) namer {
	return func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
		return eachName(cl.Principals(ctx, api.PrincipalQuery{Kind: kind}), func(p api.Principal) string {
			return p.Name + nameAndMeaning + orElse(p.DisplayName, p.Kind)
		})
	}
}

// tail is an id as tables show it, which every command accepts.
func tail(id string) string { return style{}.id(id) }

func requestNames(q api.RequestQuery) namer {
	return func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
		return eachName(cl.Requests(ctx, q), func(r api.Request) string {
			return tail(r.ID) + nameAndMeaning + r.Requester + ": " + strings.Join(placeTexts(style{}, r), ", ") + ", " +
				r.State
		})
	}
}

// placeholders say, by the word that stands for it in a command's usage, which names an argument may have.
func placeholders() map[string]namer {
	return map[string]namer{
		"MACHINE": func(ctx context.Context, cl *api.Client, typed string) iter.Seq2[string, error] {
			return eachName(cl.Machines(ctx, api.MachineQuery{Prefix: typed}), func(m api.Machine) string {
				return m.Name + nameAndMeaning + m.Standing
			})
		},
		"MACHINE:PORT": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for view, err := range cl.Policies(ctx) {
					for _, r := range view.Ports {
						if !yield(view.Machine+":"+portText(r.Ports, r.Protocol), nil) {
							return
						}
					}
					if err != nil {
						yield("", err)
						return
					}
				}
			}
		},
		"ACCESS-REVIEW": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.AccessReviews(ctx, ""), func(r api.AccessReview) string {
				return r.Name + nameAndMeaning + r.State
			})
		},
		"SCOPE-POLICY": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.ScopePolicies(ctx), func(p api.ScopePolicy) string {
				return p.Name + nameAndMeaning + p.Reach
			})
		},
		"AGENT": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Agents(ctx), func(g api.Agent) string { return g.Name + nameAndMeaning + g.Mode })
		},
		"GRANT": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Grants(ctx, api.GrantQuery{States: live()}), func(g api.Grant) string {
				return tail(g.ID) + nameAndMeaning + whatOf(g) + " of " + g.Principal + ", " + stateText(g)
			})
		},
		"REQUEST": requestNames(api.RequestQuery{}),
		"REVIEW": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Reviews(ctx, true), func(v api.Review) string {
				return tail(v.ID) + nameAndMeaning + "break-glass of " + v.Person
			})
		},
		"ALERT": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Alerts(ctx, api.AlertQuery{State: "open"}), func(v api.Alert) string {
				return tail(v.ID) + nameAndMeaning + v.Severity + ": " + v.Title
			})
		},
		"RULE": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.AlertRules(ctx), func(r api.AlertRule) string { return r.ID + nameAndMeaning + r.Doc })
		},
		"USER": principals("user"), "GROUP": principals("group"), "SP": principals("servicePrincipal"),
		"PERSON": principals("user"), "MEMBER": principals(""), "PRINCIPAL": principals(""),
		"ROLE": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Roles(ctx), func(r api.Role) string { return r.Name + nameAndMeaning + r.Description })
		},
		"ELIGIBLE-ROLE": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.EligibleRoles(ctx), func(e api.Eligibility) string {
				return e.Role + nameAndMeaning + shortScope(style{}, e.Scope)
			})
		},
		"ASSIGNMENT": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.RoleAssignments(ctx, api.RoleAssignmentQuery{}), func(r api.RoleAssignment) string {
				return tail(r.ID) + nameAndMeaning + r.Role + " of " + r.Principal
			})
		},
		"ELIGIBILITY": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Eligibilities(ctx, api.EligibilityQuery{}), func(e api.Eligibility) string {
				return tail(e.ID) + nameAndMeaning + e.Role + " for " + e.Principal
			})
		},
		"APP": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Applications(ctx), func(v api.Application) string {
				return v.Name + nameAndMeaning + v.Publisher + " for " + v.Customer
			})
		},
		"DEFINITION": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.ApplicationDefinitions(ctx), func(d api.ApplicationDefinition) string {
				return d.Publisher + "/" + d.Name + nameAndMeaning + d.DisplayName
			})
		},
		"NETWORK": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Networks(ctx), func(n api.Network) string {
				return n.Name + nameAndMeaning + strings.Join(n.Prefixes, ", ")
			})
		},
		"TENANT": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Tenants(ctx), func(t api.Tenant) string { return t.Name })
		},
		"SUBSCRIPTION": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Subscriptions(ctx), func(s api.Subscription) string { return s.Name })
		},
		"RESOURCE-GROUP": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.ResourceGroups(ctx), func(g api.ResourceGroup) string { return g.Name })
		},
		"TOKEN-NAME": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.APITokens(ctx), func(t api.APIToken) string { return t.Name })
		},
		"PASSKEY": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Passkeys(ctx), func(k api.Passkey) string { return k.Name })
		},
		"CHANNEL": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Channels(ctx), func(c api.Channel) string { return c.Name + nameAndMeaning + c.Kind })
		},
		"ROUTE": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Routes(ctx, ""), func(r api.Route) string {
				return tail(r.ID) + nameAndMeaning + r.Channel + " for " + orElse(r.Principal, "everyone")
			})
		},
		"DELIVERY": func(ctx context.Context, cl *api.Client, _ string) iter.Seq2[string, error] {
			return eachName(cl.Deliveries(ctx, api.DeliveryQuery{State: "dead"}), func(d api.Delivery) string {
				return d.ID[max(0, len(d.ID)-shortID):] + nameAndMeaning + d.Kind + " to " + d.Recipient
			})
		},
	}
}

// ownNames are the names of arguments of single commands, where not every name makes sense.
func ownNames() map[string]namer {
	deciding := requestNames(api.RequestQuery{NeedsMe: true})
	words := placeholders()
	eligible := words["ELIGIBLE-ROLE"]
	return map[string]namer{
		"postern approve": deciding, "postern deny": deciding,
		"postern app approve": deciding, "postern app deny": deciding,
		"postern request cancel": requestNames(api.RequestQuery{State: "pending", Requester: "me"}),
		"postern token revoke":   words["TOKEN-NAME"],
		"postern role activate":  eligible, "postern role deactivate": eligible,
	}
}

// flagPlaceholders are those of flags whose values are names, whichever command has them.
func flagPlaceholders() map[string]string {
	return map[string]string{
		"machine": "MACHINE", "gateway": "AGENT", "who": "PRINCIPAL", "of": "PRINCIPAL", "principal": "PRINCIPAL",
		"to": "PRINCIPAL", "actor": "PRINCIPAL", "as": "PERSON", "approver": "PRINCIPAL", "approvers": "GROUP",
		"group": "RESOURCE-GROUP", "resource-group": "RESOURCE-GROUP", "subscription": "SUBSCRIPTION",
		"tenant": "TENANT", "definition": "DEFINITION", "role": "ROLE", "channel": "CHANNEL", "rule": "RULE",
	}
}

// choices finds the values that the usage of a flag lists: "filter by state: pending, approved or denied".
var choices = regexp.MustCompile(`^filter by [a-z ]+: (.+)$`)

// argument gives the placeholder of the i'th argument in a command's usage, "GRANT|REQUEST" as its parts; nil where
// there is no such argument.
func argument(use string, i int) []string {
	words := strings.Fields(use)[1:]
	for n, word := range words {
		word = strings.Trim(word, "[]{}")
		name, repeated := strings.CutSuffix(word, "…")
		switch {
		case word == "|" || strings.HasPrefix(word, "-"):
			return nil
		case n == i || repeated:
			return strings.Split(name, "|")
		}
	}
	return nil
}

// completeNames has a shell complete the names that arguments and flags of the commands may have.
func (a *app) completeNames(root *cobra.Command) {
	words, own, flags := placeholders(), ownNames(), flagPlaceholders()
	offer := func(c *cobra.Command, flag string, of namer) {
		_ = c.RegisterFlagCompletionFunc(flag, // it fails only where there is no such flag
			func(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
				return a.names(c, typed, of)
			})
	}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.ValidArgsFunction == nil && c.Runnable() {
			c.ValidArgsFunction = func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
				alternatives := argument(c.Use, len(args))
				of := own[c.CommandPath()]
				switch {
				case len(alternatives) == 1 && alternatives[0] == "FILE":
					return nil, cobra.ShellCompDirectiveDefault
				case of != nil && len(args) == 0:
					return a.names(c, typed, of)
				}
				var all []namer
				for _, word := range alternatives {
					if words[word] != nil {
						all = append(all, words[word])
					}
				}
				return a.names(c, typed, all...)
			}
		}
		for name, word := range flags {
			if c.LocalFlags().Lookup(name) != nil {
				offer(c, name, words[word])
			}
		}
		for _, name := range []string{"state", "standing", "outcome"} {
			if f := c.LocalFlags().Lookup(name); f != nil {
				if found := choices.FindStringSubmatch(f.Usage); found != nil {
					offer(c, name, fixed(parts(strings.ReplaceAll(found[1], " or ", ","))))
				}
			}
		}
	}
	walk(root)
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp))
}

// fixed offers values that need no server.
func fixed(values []string) namer {
	return func(context.Context, *api.Client, string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for _, v := range values {
				if !yield(v, nil) {
					return
				}
			}
		}
	}
}

// names offers what begins as was typed; where the server cannot be asked, there is nothing to offer.
func (a *app) names(c *cobra.Command, typed string, of ...namer) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(c.Context(), namesPatience)
	defer cancel()
	cl, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var offered []string
	for _, list := range of {
		for name, err := range list(ctx, cl, typed) {
			if err != nil || len(offered) == enoughNames {
				break
			}
			if strings.HasPrefix(strings.ToLower(name), strings.ToLower(typed)) {
				offered = append(offered, steadyName(name))
			}
		}
	}
	return offered, cobra.ShellCompDirectiveNoFileComp
}

// steadyName is visible for a name and its meaning, which a tab divides.
func steadyName(text string) string {
	name, meaning, _ := strings.Cut(text, nameAndMeaning)
	if meaning = visible(meaning); meaning == "" {
		return visible(name)
	}
	return visible(name) + nameAndMeaning + meaning
}
