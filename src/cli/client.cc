// How commands reach an agent: the local socket, or HTTPS with the certificate of the cluster.
#include "cli/client.h"
