/* IPsec on this host (ipsec.c). Control thread only. */
#ifndef WEFT_IPSEC_H
#define WEFT_IPSEC_H

/* Number of IPsec policies in this network namespace, those of single sockets left out, or -errno (EPERM without CAP_NET_ADMIN,
 * EPROTONOSUPPORT where the kernel has no IPsec: each such call makes it look for a module). */
int ipsec_policy_count(void);

#endif
