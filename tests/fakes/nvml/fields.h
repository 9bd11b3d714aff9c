/* What fields.c and links.c say to each other. */
#pragma once
#include "stub.h"

#pragma GCC visibility push(hidden)
ret whole(nvmlFieldValue_t *out, unsigned value);
ret counted(nvmlFieldValue_t *out, double value);
ret shared(nvmlFieldValue_t *out, double value);
ret link_field(dev d, nvmlFieldValue_t *out);
#pragma GCC visibility pop
