// Package app is about managed applications: what a publisher offers (a definition), what a customer deploys of it (an
// application) and under which settings, and the form that collects those settings (createUiDefinition, with its
// expressions). It is pure.
package app
