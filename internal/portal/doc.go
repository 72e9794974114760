// Package portal serves the pages on which people sign in and let devices in: plain HTML that works without JavaScript.
package portal
