/* subnet.env: what weftd (or flanneld) says of this node's pods. Lines of KEY=value, no quotes, no comments, order free. */
#ifndef WEFT_CNI_SUBNET_ENV_H
#define WEFT_CNI_SUBNET_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "cidr.h"
#include "failure.h"

#define FAMILIES 2 /* IPv4, then IPv6 */
#define NETWORKS_MAX 64

struct subnet_env {
  struct cidr networks[FAMILIES][NETWORKS_MAX];
  int network_count[FAMILIES];
  struct cidr subnets[FAMILIES]; /* the network address, not the gateway's */
  uint32_t mtu;
  bool ip_masq; /* the daemon masquerades, so the delegate need not */
  bool has_mtu, has_ip_masq;
};

/* Unknown keys are left alone. A failure names the file and the line. */
bool subnet_env_parse(struct slice text, const char *file, struct subnet_env *to, struct failure *why);

bool subnet_env_read(const char *file, struct subnet_env *to, struct failure *why);

#endif
