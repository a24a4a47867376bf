/* What a device's driver takes over from the kernel (features.c). Control thread only. */
#ifndef WEFT_FEATURES_H
#define WEFT_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

#define FEATURE_NAME_BYTES 32

/* Whether a feature is on, by the kernel's name for it ("tx-udp_tnl-segmentation"): 1, 0 (also for a name that this kernel does not
 * know), or -errno (ENODEV: no such device). */
int features_has(const char *device, const char *name);

/* Switches an offload that has a command of its own: `command` is an ETHTOOL_S* of linux/ethtool.h that takes a value. 0 or -errno. */
int features_set(const char *device, uint32_t command, bool on);

#endif
