/* NVLink: 18 links of 25 GB/s a direction on an H100 (NVLink 4), of 50 GB/s on a B200 (NVLink 5), which counts other
 * things: its packets and symbols in place of the older replays and CRC errors (nvml.h: "Unsupported for Blackwell+"). */
#include "fields.h"

#define ALL_LINKS 0xFFFFFFFFu
#define SPEED_MBPS (is_blackwell() ? 53125u : 26562u)
#define PACKET_BYTES 256.0
#define OVERHEAD 1.13
#define FEC_BINS 16u

static double bytes(dev d, unsigned scope, double rate) {
    if (scope != ALL_LINKS) return link_bytes(d, scope, rate, now());
    double sum = 0;
    for (unsigned link = 0; link < LINKS; link++) sum += link_bytes(d, link, rate, now());
    return sum;
}

static ret throughput(dev d, nvmlFieldValue_t *out) {
    if (out->scopeId >= LINKS && out->scopeId != ALL_LINKS) return INVALID;
    switch (out->fieldId) { /* KiB */
    case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX: return counted(out, bytes(d, out->scopeId, TX_RATE) / 1024);
    case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX: return counted(out, bytes(d, out->scopeId, RX_RATE) / 1024);
    case NVML_FI_DEV_NVLINK_THROUGHPUT_RAW_TX: return counted(out, bytes(d, out->scopeId, TX_RATE) * OVERHEAD / 1024);
    default: return counted(out, bytes(d, out->scopeId, RX_RATE) * OVERHEAD / 1024);
    }
}

static ret of_every_age(dev d, nvmlFieldValue_t *out) {
    (void)d;
    switch (out->fieldId) {
    case NVML_FI_DEV_NVLINK_GET_STATE:
    case NVML_FI_DEV_NVLINK_GET_POWER_STATE: return whole(out, out->fieldId == NVML_FI_DEV_NVLINK_GET_STATE);
    case NVML_FI_DEV_NVLINK_GET_SPEED: return whole(out, SPEED_MBPS);
    case NVML_FI_DEV_NVLINK_GET_VERSION: return whole(out, is_blackwell() ? 7 : 6);
    case NVML_FI_DEV_NVLINK_REMOTE_NVLINK_ID: return whole(out, out->scopeId);
    default: return UNSUPPORTED;
    }
}

static ret of_the_fourth(dev d, nvmlFieldValue_t *out) {
    switch (out->fieldId) {
    case NVML_FI_DEV_NVLINK_ERROR_DL_CRC: return counted(out, (double)link_errors(d, out->scopeId));
    case NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY: /* one sends again what several damaged */
        return counted(out, 0.9 * (double)link_errors(d, out->scopeId));
    case NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY: return counted(out, 0);
    default: return UNSUPPORTED;
    }
}

static ret of_the_fifth(dev d, nvmlFieldValue_t *out) {
    unsigned link = out->scopeId;
    double symbols = (double)link_errors(d, link);
    switch (out->fieldId) {
    case NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES: return counted(out, bytes(d, link, TX_RATE));
    case NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES: return counted(out, bytes(d, link, RX_RATE));
    case NVML_FI_DEV_NVLINK_COUNT_XMIT_PACKETS: return counted(out, bytes(d, link, TX_RATE) / PACKET_BYTES);
    case NVML_FI_DEV_NVLINK_COUNT_RCV_PACKETS: return counted(out, bytes(d, link, RX_RATE) / PACKET_BYTES);
    case NVML_FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS: return counted(out, symbols);
    case NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_ERRORS: return counted(out, symbols / 1e6);
    case NVML_FI_DEV_NVLINK_COUNT_SYMBOL_BER:
    case NVML_FI_DEV_NVLINK_COUNT_RAW_BER_V2: return shared(out, 1e-12 * (1 + 0.01 * link));
    case NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_BER: return shared(out, 1.5e-254);
    case NVML_FI_DEV_NVLINK_COUNT_RAW_ERRORS_LANE0:
    case NVML_FI_DEV_NVLINK_COUNT_RAW_ERRORS_LANE1: return counted(out, symbols * 8);
    case NVML_FI_DEV_NVLINK_PLR_XMIT_BLOCKS: return counted(out, bytes(d, link, TX_RATE) / 1024);
    case NVML_FI_DEV_NVLINK_COUNT_MALFORMED_PACKET_ERRORS:
    case NVML_FI_DEV_NVLINK_COUNT_BUFFER_OVERRUN_ERRORS:
    case NVML_FI_DEV_NVLINK_COUNT_RCV_ERRORS:
    case NVML_FI_DEV_NVLINK_COUNT_RCV_REMOTE_ERRORS:
    case NVML_FI_DEV_NVLINK_COUNT_RCV_GENERAL_ERRORS:
    case NVML_FI_DEV_NVLINK_COUNT_LOCAL_LINK_INTEGRITY_ERRORS:
    case NVML_FI_DEV_NVLINK_COUNT_XMIT_DISCARDS:
    case NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_SUCCESSFUL_EVENTS:
    case NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS:
    case NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_EVENTS:
    case NVML_FI_DEV_NVLINK_PLR_XMIT_RETRY_BLOCKS: return counted(out, 0);
    default: break;
    }
    unsigned bin = out->fieldId - NVML_FI_DEV_NVLINK_COUNT_FEC_HISTORY_0; /* bins of ever more symbols mended at once */
    return bin < FEC_BINS ? counted(out, symbols * 1e6 / (1ULL << (4 * bin))) : UNSUPPORTED;
}

/* sums over the links, and what every link has in common; the counters by lane of older boards are not kept any more */
static ret of_the_board(dev d, nvmlFieldValue_t *out) {
    double errors = 0;
    for (unsigned link = 0; link < LINKS; link++) errors += (double)link_errors(d, link);
    switch (out->fieldId) {
    case NVML_FI_DEV_NVLINK_LINK_COUNT:
    case NVML_FI_DEV_NVSWITCH_CONNECTED_LINK_COUNT: return whole(out, LINKS);
    case NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON: return whole(out, SPEED_MBPS);
    case NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL:
    case NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL: return is_blackwell() ? UNSUPPORTED : counted(out, errors);
    case NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL:
    case NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL: return is_blackwell() ? UNSUPPORTED : counted(out, 0);
    case NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_L0: return is_blackwell() ? UNSUPPORTED : counted(out, (double)link_errors(d, 0));
    default: return UNSUPPORTED;
    }
}

ret link_field(dev d, nvmlFieldValue_t *out) {
    ret code = of_the_board(d, out);
    if (code != UNSUPPORTED) return code;
    if (out->fieldId >= NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX && out->fieldId <= NVML_FI_DEV_NVLINK_THROUGHPUT_RAW_RX)
        return throughput(d, out);
    if (out->scopeId >= LINKS) return INVALID;
    code = of_every_age(d, out);
    if (code == UNSUPPORTED) code = is_blackwell() ? of_the_fifth(d, out) : of_the_fourth(d, out);
    return code;
}

ret nvmlDeviceGetNvLinkState(dev d, unsigned link, nvmlEnableState_t *out) {
    ENTER(2.5);
    if (link >= LINKS) return INVALID;
    *out = NVML_FEATURE_ENABLED;
    return OK;
}
