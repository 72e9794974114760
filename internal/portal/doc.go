// Package portal serves the web application, which calls the native API alone, and the pages on which people sign in
// and let devices in: plain HTML that works without JavaScript.
package portal
