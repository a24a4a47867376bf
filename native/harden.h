/*
 * What this process and its threads give up for good (harden.c). Nothing here can be taken back, and nothing may end a start: every
 * function returns 0 or -errno, and then nothing has changed.
 */
#ifndef WEFT_HARDEN_H
#define WEFT_HARDEN_H

#include <stdint.h>

/* ---- the process ---- */
/* No core file, no ptrace and no /proc/<pid>/mem for others of the same user. */
int harden_dump(void);
/* No thread and no child can make an io_uring, whose operations pass a system call filter unseen. Sets no_new_privs for all threads. */
int harden_rings(void);

/* ---- its files: Landlock ---- */
/* The kernel's version of Landlock, or -errno (ENOSYS: not built in, EOPNOTSUPP: switched off). */
int harden_files_abi(void);
/* A rule set that forbids these LANDLOCK_ACCESS_FS bits everywhere: fd or -errno. */
int harden_files_create(uint64_t access);
/* Allows bits of them at and below a path. */
int harden_files_allow(int fd, const char *path, uint64_t access);
/* For every thread that there is, and for all that they start. The number of threads that do not take part, or -errno. */
int harden_files_enforce(int fd);

/* ---- the calling thread, and no other ---- */
int harden_capabilities(void);
/* Nothing but what a thread needs that moves packets. EOPNOTSUPP on other processors and before harden_rings. */
int harden_calls(void);

#endif
