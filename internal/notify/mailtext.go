package notify

import (
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
)

const mailPlain = `{{.Title}}

{{.Lead}}
{{range .Fields}}
{{printf "%-9s" (print .Label ":")}} {{.Value}}{{end}}
{{with .Link}}
{{$.Button}}: {{.}}
{{end}}
-- 
Sent by Postern, because it concerns you or what you watch.
`

const mailHTML = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Title}}</title></head>
<body style="font-family:system-ui,sans-serif;color:#1b1f24;max-width:40rem;margin:1.5rem auto;padding:0 1rem">
<h1 style="font-size:1.2rem">{{.Title}}</h1>
<p>{{.Lead}}</p>
<table style="border-collapse:collapse">{{range .Fields}}
<tr><th scope="row" style="text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0">{{.Label}}</th><td style="padding:.2rem 0">{{.Value}}</td></tr>{{end}}
</table>{{with .Link}}
<p><a href="{{.}}" style="display:inline-block;padding:.5rem 1rem;background:#0b5cad;color:#fff;text-decoration:none;border-radius:.3rem">{{$.Button}}</a></p>
<p style="font-size:.85rem">{{.}}</p>{{end}}
<p style="font-size:.85rem;color:#57606a">Sent by Postern, because it concerns you or what you watch.</p>
</body></html>
`

// mailBodies gives the text and the HTML of a mail.
func mailBodies(m message) (text, html string, err error) {
	plain, err := texttemplate.New("").Parse(mailPlain)
	if err != nil {
		return "", "", err
	}
	rich, err := htmltemplate.New("").Parse(mailHTML)
	if err != nil {
		return "", "", err
	}
	var t, h strings.Builder
	if err := plain.Execute(&t, m); err != nil {
		return "", "", err
	}
	if err := rich.Execute(&h, m); err != nil {
		return "", "", err
	}
	return t.String(), h.String(), nil
}
