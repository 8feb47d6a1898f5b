package harness

import "syscall"

// dieWithParent has the kernel kill the process when the test binary is gone,
// however that ended (a panic or a timeout runs no clean-up).
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
