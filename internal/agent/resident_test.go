package agent

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// residentFile gives how many KiB of files this process keeps in memory.
func residentFile(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	found := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Skip("the kernel does not say what of files is resident")
	}
	kib, err := strconv.Atoi(string(found[1]))
	must(t, err)
	return kib
}

func TestTheProgramIsLetGo(t *testing.T) { //nolint:paralleltest // others would use the program meanwhile
	before := residentFile(t)
	must(t, unmapProgram())
	if after := residentFile(t); after >= before { // what is used is read again, so some of it is there at once
		t.Errorf("%d KiB of files are resident, and %d were before", after, before)
	}
}
