package store_test

import "os"

// stormEnv, where set, makes the test binary a child that writes to the store it names until it is killed.
const stormEnv = "POSTERN_STORE_STORM"

func storm(string) { os.Exit(1) }
