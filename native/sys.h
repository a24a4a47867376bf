/* What a thread needs from the system besides packets (sys.c). */
#ifndef WEFT_SYS_H
#define WEFT_SYS_H

/* sd_notify over $NOTIFY_SOCKET ("@" = abstract), with a descriptor unless it is -1. 1 sent, 0 no socket, -errno */
int sys_notify(const char *state, int passed_fd);
/* sched_setaffinity of the calling thread. 0 or -errno */
int sys_pin(int cpu);
/* eventfd, non-blocking: fd or -errno */
int sys_wake_open(void);
/* 0 or -errno */
int sys_wake(int fd);
/* Tests: a SEQPACKET socketpair that stands for a TUN queue. 0 or -errno */
int sys_pair_open(int fds[2]);

#endif
