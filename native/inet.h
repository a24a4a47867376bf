/* A device's IPv4 settings (inet.c). Control thread only. */
#ifndef WEFT_INET_H
#define WEFT_INET_H

#include <stdint.h>

/* Sets what /proc/sys/net/ipv4/conf/DEVICE shows; `setting` is one of IPV4_DEVCONF_* (linux/ip.h). 0 or -errno. */
int inet_set(const char *device, int setting, uint32_t value);

#endif
