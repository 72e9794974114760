package identity

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
)

//go:embed common.txt
var commonText string

// commonPasswords gives the passwords that are tried first, in small letters.
var commonPasswords = sync.OnceValue(func() map[string]bool { //nolint:gochecknoglobals // a table, read once
	known := map[string]bool{}
	for line := range strings.Lines(commonText) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			known[line] = true
		}
	}
	return known
})

// commonWords are what people make passwords of who must make one: with digits, signs and each other they add nothing
// that is not tried. Longer ones come before those that they begin with.
func commonWords() []string {
	return []string{
		"administrator", "administration", "qwertyuiop", "qwertzuiop", "passphrase", "motdepasse", "contrasena",
		"asdfghjkl", "changeme",
		"football", "baseball", "iloveyou", "password", "passwort", "passw", "sunshine", "princess", "superman",
		"trustno", "starwars", "computer",
		"internet", "february", "september", "november", "december", "october", "january", "monday", "tuesday",
		"wednesday", "thursday", "saturday",
		"welcome", "letmein", "michael", "charlie", "default", "zxcvbnm", "qazwsxedc", "qazwsx", "iloveu", "abcdefgh",
		"abcdef", "abcd",
		"secret", "dragon", "monkey", "master", "shadow", "qwerty", "qwertz", "azerty", "asdfgh", "zxcvbn", "server",
		"system", "access", "summer",
		"winter", "spring", "autumn", "friday", "sunday", "august", "hello", "admin", "login", "guest", "super",
		"march", "april", "asdf", "qwer", "zxcv",
		"yxcv", "root", "user", "test", "temp", "pass", "love", "june", "july", "abc", "qaz", "wsx", "new", "the", "my",
	}
}

// leftOver is how many letters a password must have that are of no common word and no name of its owner's.
const leftOver = 4

// common reports whether a password is one of those that are tried first, or made of common words, digits and signs
// alone.
func common(password string) bool {
	small := strings.ToLower(password)
	return commonPasswords()[small] || madeOf(password, nil)
}

// madeOf reports whether hardly anything is left of a password once its digits and signs, common words and the given
// names are taken out.
func madeOf(password string, names []string) bool {
	words := []string{"postern"}
	for _, name := range names {
		for _, word := range strings.FieldsFunc(strings.ToLower(name),
			func(r rune) bool { return !unicode.IsLetter(r) }) {
			if len(word) > 2 { //nolint:mnd // shorter ones are in everything
				words = append(words, word)
			}
		}
	}
	words = append(words, commonWords()...)
	small := strings.ToLower(password)
	return lettersWithout(small, words) < leftOver || lettersWithout(plainLetters(small), words) < leftOver
}

// lettersWithout counts the letters, each different one of a run once, that are left without the words.
func lettersWithout(text string, words []string) int {
	for _, word := range words {
		text = strings.ReplaceAll(text, word, " ")
	}
	letters, last := 0, rune(0)
	for _, r := range text {
		if unicode.IsLetter(r) && r != last {
			letters++
		}
		last = r
	}
	return letters
}

// plainLetters puts back the letters that people write as digits and signs.
func plainLetters(text string) string {
	return strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!",
		"i").Replace(
		text)
}
