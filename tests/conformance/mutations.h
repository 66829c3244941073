/* SPDX-License-Identifier: MIT */
/*
 * The faults that the mutant (mutant.h) can be told to have: enumerator, name on the command line,
 * the case of `ringside conform` that has to notice it, and what is wrong.  docs/mutations.md is made
 * of this list by `mutant --table`.
 */
#ifndef CONFORMANCE_MUTATIONS_H
#define CONFORMANCE_MUTATIONS_H

/* clang-format off */
#define MUTATIONS(X) \
	/* Split rings */ \
	X(FRAME_HEADER,	    "frame-header",	  "VQ-D-01.header-1-15",	"wants the header in one descriptor") \
	X(FRAME_HEADER_BIG, "frame-header-alone", "VQ-D-01.header-with-data",	"wants nothing but the header in the first descriptor") \
	X(FRAME_STATUS,	    "frame-status",	  "VQ-D-01.status-with-data",	"wants the status byte in a descriptor of its own") \
	X(FRAME_DATA,	    "frame-data",	  "VQ-D-01.data-pieces",	"reads only into descriptors of whole sectors") \
	X(WRITE_HEADER,	    "write-header",	  "VQ-D-02.header",		"scribbles into the request header") \
	X(WRITE_DATA,	    "write-data",	  "VQ-D-02.data",		"scribbles into the data of a write") \
	X(WRITE_TABLE,	    "write-table",	  "VQ-D-03.table",		"clears the length of used descriptors") \
	X(WRITE_INDIRECT,   "write-indirect",	  "VQ-D-03.indirect-table",	"clears the first entry of an indirect table") \
	X(WRITE_AVAIL,	    "write-avail",	  "VQ-D-03.avail",		"overwrites used entries of the available ring") \
	X(NO_INDIRECT,	    "no-indirect",	  "VQ-D-04.indirect",		"offers INDIRECT_DESC and refuses indirect tables") \
	X(INDIRECT_WRITE,   "indirect-write",	  "VQ-D-04.write-flag",		"refuses WRITE on the descriptor of an indirect table") \
	X(INDIRECT_PLACE,   "indirect-place",	  "VQ-D-04.next",		"goes through indirect tables by place, not by next") \
	X(INDIRECT_FIRST,   "indirect-first",	  "VQ-D-05.direct-then-indirect", "knows indirect tables only in the first descriptor") \
	X(FULL_EMPTY,	    "full-is-empty",	  "VQ-D-09.full",		"takes a full available ring for an empty one") \
	X(USED_TWICE,	    "used-twice",	  "VQ-D-09.once",		"uses every tenth head twice") \
	X(STATUS_LATE,	    "status-late",	  "VQ-D-09.once",		"writes the status byte after the used index") \
	X(LOSE_REQUEST,	    "lose-request",	  "BLK-R.deep",			"forgets every 40th request") \
	X(INDEX_WRAP,	    "index-wrap",	  "VQ-D-09.index-wrap",		"stops when avail.idx runs over") \
	X(CHAIN_SHORT,	    "chain-short",	  "VQ-D-09.long-chain",		"refuses chains as long as the queue") \
	X(LEN_LONG,	    "len-long",		  "VQ-D-10.read",		"reports more bytes than the buffer holds") \
	X(LEN_ID,	    "len-id",		  "VQ-D-10.id",			"reports 20 bytes of an id and writes fewer") \
	X(LEN_FAILED,	    "len-failed",	  "VQ-D-10.failed-read",	"reports the whole buffer for a failed read") \
	X(LEN_UNKNOWN,	    "len-unknown",	  "VQ-D-10.unknown",		"reports the whole buffer for an unknown request") \
	X(LEN_WRITE,	    "len-write",	  "VQ-D-10.write",		"reports the data of a write as written") \
	X(LEN_ZERO,	    "len-zero",		  "VQ-D-10.exact",		"reports length 0 always") \
	X(LEN_STATUS,	    "len-no-status",	  "VQ-D-10.exact",		"does not count the status byte") \
	X(ORDER,	    "order",		  "ST-D-21.split",		"lets others overtake the first request in spite of IN_ORDER") \
	/* Notifications */ \
	X(CALL_LOST,	    "call-lost",	  "VQ-D-07.notify",		"loses every seventh notification") \
	X(CALL_USED_EVENT,  "call-used-event",	  "VQ-D-07.used-event",		"obeys used_event without EVENT_IDX") \
	X(CALL_FLAG,	    "call-flag",	  "VQ-D-07.silence",		"notifies although avail.flags is 1") \
	X(EVENT_OFF,	    "event-off-by-one",	  "VQ-D-08.reached",		"notifies one entry late with EVENT_IDX") \
	X(EVENT_WRAP,	    "event-wrap",	  "VQ-D-08.wrap",		"compares used_event without modulus") \
	X(EVENT_BATCH,	    "event-batch",	  "VQ-D-08.batch",		"looks at used_event only for the last of a batch") \
	X(EVENT_FLAG,	    "event-flag",	  "VQ-D-08.flag",		"obeys avail.flags although EVENT_IDX is negotiated") \
	X(EVENT_ALWAYS,	    "event-always",	  "VQ-D-08.silence",		"ignores used_event, notifies always") \
	X(USED_FLAGS,	    "used-flags",	  "VQ-D-11.flags",		"sets bit 1 of used.flags") \
	X(USED_FLAGS_EVENT, "used-flags-event",	  "VQ-D-11.event-idx",		"sets used.flags with EVENT_IDX") \
	X(SPURIOUS,	    "spurious",		  "VQ-D-12.spurious",		"takes a kick on an empty queue for an error") \
	X(KICK_OFF,	    "kick-off",		  "VQ-D-13.flags",		"asks for no kicks and does not look either") \
	X(KICK_EVENT,	    "kick-event",	  "VQ-D-13.event-idx",		"leaves avail_event ahead of where it looks") \
	/* Packed rings */ \
	X(PK_FRAME,	    "packed-frame",	  "PK-D-01.framing",		"wants three descriptors to a request") \
	X(PK_FULL,	    "packed-full",	  "PK-D-01.many",		"takes a completely filled ring for an error") \
	X(PK_HEADER,	    "packed-header",	  "PK-D-02.header",		"scribbles into the request header") \
	X(PK_STALE,	    "packed-stale",	  "PK-D-03.stale",		"takes AVAIL unlike USED for available, whatever the lap") \
	X(PK_WRAP,	    "packed-wrap",	  "PK-D-03.laps",		"does not flip the wrap counter of used descriptors") \
	X(PK_SKIP,	    "packed-skip",	  "PK-D-03.laps",		"skips one slot for a chain") \
	X(PK_POW2,	    "packed-pow2",	  "PK-D-03.sizes",		"masks slots as if the size were a power of two") \
	X(PK_TOUCH,	    "packed-touch",	  "PK-D-04.alone",		"writes a used descriptor a second time, later") \
	X(PK_FIRST_ID,	    "packed-first-id",	  "PK-D-05.last-id",		"takes the id from a chain's first descriptor") \
	X(PK_CHAIN,	    "packed-chain",	  "PK-D-05.whole-ring",		"refuses a chain as long as the ring") \
	X(PK_NO_WRITE,	    "packed-no-write",	  "PK-D-06.write-flag",		"never sets WRITE in used descriptors") \
	X(PK_LEN,	    "packed-len",	  "PK-D-06.len",		"reports the whole buffer for a failed read") \
	X(PK_TABLE_ID,	    "packed-table-id",	  "PK-D-07.indirect",		"takes the id from the indirect table") \
	X(PK_TABLE_NEXT,    "packed-table-next",  "PK-D-07.next",		"stops at NEXT inside an indirect table") \
	X(PK_CALL,	    "packed-call-lost",	  "PK-D-08.enable",		"loses every seventh notification") \
	X(PK_IGNORED,	    "packed-off-obeyed",  "PK-D-08.ignored",		"obeys off_wrap although event flags are 0") \
	X(PK_DISABLE,	    "packed-disable",	  "PK-D-08.disable",		"notifies although event flags are 1") \
	X(PK_EVENT,	    "packed-event-wrap",  "PK-D-08.reached",		"compares off_wrap without the wrap counter") \
	X(PK_EVENT_BATCH,   "packed-event-batch", "PK-D-08.batch",		"looks at off_wrap only for the last of a batch") \
	X(PK_EVENT_ALWAYS,  "packed-event-always", "PK-D-08.silence",		"ignores off_wrap, notifies always") \
	X(PK_DEVICE_FLAGS,  "packed-device-flags", "PK-D-08.device-flags",	"sets event flags 2 without EVENT_IDX") \
	X(PK_ORDER,	    "packed-order",	  "ST-D-21.packed",		"lets others overtake the first request in spite of IN_ORDER") \
	X(PK_BASE,	    "packed-base",	  "VU-11.packed",		"leaves the wrap counters out of GET_VRING_BASE") \
	/* Features, status, configuration */ \
	X(DRIVER_OK,	    "driver-ok",	  "ST-D-01.driver-ok",		"serves rings before DRIVER_OK") \
	X(FEATURES_OK,	    "features-ok",	  "ST-D-05.unoffered",		"accepts features that it did not offer") \
	X(ALONE,	    "feature-alone",	  "ST-D-05.single",		"dies of EVENT_IDX without INDIRECT_DESC") \
	X(STRANGE,	    "strange-bit",	  "ST-D-06.unknown",		"offers feature bit 55") \
	X(UNSTABLE,	    "unstable",		  "ST-D-06.stable",		"offers other features the second time") \
	X(STATUS_STUCK,	    "status-stuck",	  "ST-D-08.status",		"does not go back to status 0") \
	X(STATUS_RESET,	    "status-reset",	  "ST-D-09.status",		"goes on with its rings after status 0") \
	X(CONFIG_EARLY,	    "config-early",	  "ST-D-13.early",		"shows its configuration only after SET_FEATURES") \
	X(CONFIG_CHANGES,   "config-changes",	  "ST-D-13.same",		"changes seg_max with SET_FEATURES") \
	X(NO_VERSION_1,	    "no-version-1",	  "ST-D-20.version-1",		"does not offer VERSION_1") \
	X(NO_FLUSH,	    "no-flush",		  "BLK-D-01.flush",		"does not offer FLUSH") \
	X(WCE_NO_FLUSH,	    "wce-no-flush",	  "BLK-D-01.wce",		"offers CONFIG_WCE without FLUSH") \
	X(WRITEBACK,	    "writeback",	  "BLK-D-02.writeback",		"starts with writeback 1 without FLUSH") \
	X(PADDING,	    "padding",		  "BLK-D-03.unused",		"has garbage in unused0") \
	/* Block requests */ \
	X(READ_SHORT,	    "read-short",	  "BLK-R.read",			"leaves the last byte of a read as it was") \
	X(READ_UNIT,	    "read-unit",	  "BLK-R.place",		"counts sectors of 4096 bytes when reading") \
	X(READ_OVER,	    "read-over",	  "BLK-R.bounds",		"writes one byte behind a read's buffer") \
	X(CAPACITY,	    "capacity",		  "BLK-R.last",			"says one sector more than there is") \
	X(SIZE_LIMIT,	    "size-limit",	  "BLK-R.sizes",		"refuses reads over 128 KiB without SIZE_MAX") \
	X(FLUSH_ERROR,	    "flush-error",	  "BLK-R.flush",		"fails FLUSH") \
	X(FLUSH_LOST,	    "flush-lost",	  "BLK-R.flush-mix",		"forgets a FLUSH that comes with reads") \
	X(ID_CHANGES,	    "id-changes",	  "BLK-R.id",			"has another id each time") \
	X(ID_PADDING,	    "id-padding",	  "BLK-R.id-padding",		"has garbage behind its id") \
	X(QUEUE_OTHER,	    "queue-other",	  "BLK-R.two-queues",		"shows another disk on queue 1") \
	X(QUEUE_DEAD,	    "queue-dead",	  "BLK-R.every-queue",		"does not serve its last queue") \
	X(LIFETIME,	    "lifetime",		  "BLK-D-15.lifetime",		"returns a reserved pre_eol_info") \
	X(ZONE_STATUS,	    "zone-status",	  "BLK-D-16.zones",		"answers zone commands with IOERR") \
	X(ZONE_APPEND,	    "zone-append",	  "BLK-D-16.append",		"answers zone append with OK") \
	X(UNKNOWN_OK,	    "unknown-ok",	  "BLK-D-29.unknown",		"answers unknown requests with OK") \
	X(BEYOND,	    "beyond",		  "BLK-D-29.beyond",		"answers reads beyond the end with OK") \
	X(ODD_LENGTH,	    "odd-length",	  "BLK-D-29.length",		"takes reads of odd lengths") \
	X(WRITE_NEIGHBOUR,  "write-neighbour",	  "BLK-W.write",		"clears the byte behind what it writes") \
	X(WRITE_PLACE,	    "write-place",	  "BLK-W.place",		"writes odd sectors to the next even one") \
	X(WRITE_BIG,	    "write-big",	  "BLK-W.big",			"drops the end of writes over 256 KiB") \
	X(FLUSH_NOTHING,    "flush-nothing",	  "BLK-W.flush",		"keeps flushed writes only as long as the connection") \
	X(THROUGH_NOTHING,  "through-nothing",	  "BLK-W.through",		"keeps writes only as long as the connection if FLUSH is not accepted") \
	X(RO_WRITE,	    "ro-write",		  "BLK-D-09.write",		"writes to its read-only disk") \
	X(RO_STATUS,	    "ro-status",	  "BLK-D-09.write",		"answers UNSUPP to a write to its read-only disk") \
	X(RO_UNACCEPTED,    "ro-unaccepted",	  "BLK-D-09.unaccepted",	"is read-only only if the driver accepts RO") \
	X(RO_DISCARD,	    "ro-discard",	  "BLK-D-09.ranges",		"zeroes its read-only disk") \
	X(DISCARD_FLAGS,    "discard-flags",	  "BLK-D-10.discard",		"ignores unknown flags of DISCARD") \
	X(ZEROES_FLAGS,	    "zeroes-flags",	  "BLK-D-10.zeroes",		"ignores the topmost flag of WRITE_ZEROES") \
	X(ERASE_FLAGS,	    "erase-flags",	  "BLK-D-10.erase",		"answers IOERR to unknown flags of SECURE_ERASE") \
	X(UNMAP,	    "unmap",		  "BLK-D-11.unmap",		"takes the unmap flag in DISCARD") \
	X(DISCARD_MORE,	    "discard-more",	  "BLK-D-11.discard",		"discards one sector too many") \
	X(ZEROES_NOTHING,   "zeroes-nothing",	  "BLK-D-12.zeroes",		"does not zero") \
	X(ZEROES_LESS,	    "zeroes-less",	  "BLK-D-12.zeroes",		"zeroes one sector too few") \
	X(ZEROES_UNMAP,	    "zeroes-unmap",	  "BLK-D-12.unmap",		"does not zero when asked to unmap") \
	X(ZEROES_FIRST,	    "zeroes-first",	  "BLK-D-12.segments",		"zeroes only the first segment") \
	X(ERASE_MORE,	    "erase-more",	  "BLK-D-29.erase",		"erases one sector too many") \
	X(ERASE_UNMAP,	    "erase-unmap",	  "BLK-D-29.erase-unmap",	"takes the unmap flag in SECURE_ERASE") \
	X(ERASE_UNACCEPTED, "erase-unaccepted",	  "BLK-D-29.erase-unaccepted",	"erases although SECURE_ERASE was not accepted") \
	/* Zoned disks */ \
	X(ZONED_PADDING, "zoned-padding", "BLK-D-03.zones", "has garbage in unused2") \
	X(ZONED_DISCARD, "zoned-discard", "BLK-D-04.discard", "offers DISCARD with host-managed zones") \
	X(ZONED_DECLINED, "zoned-declined", "BLK-D-05.declined", "works without ZONED although its zones are host-managed") \
	X(ZONED_FIELDS, "zoned-fields", "BLK-D-05.fields", "is host-aware, and tells of its zones without ZONED") \
	X(ZONED_MODEL, "zoned-model", "BLK-D-06.model", "has the zone model 3") \
	X(ZONED_SIZE, "zoned-size", "BLK-D-07.size", "has zones of 0 sectors") \
	X(ZONED_GRANULARITY, "zoned-granularity", "BLK-D-07.granularity", "is written in units of 1000 bytes") \
	X(ZONED_APPEND_MAX, "zoned-append-max", "BLK-D-07.append", "appends more than a zone holds") \
	X(ZONED_LIMITS, "zoned-limits", "BLK-D-07.limits", "lets more zones be open than active") \
	X(ZONED_ERASE, "zoned-erase", "BLK-D-28.units", "erases by sectors what has zones") \
	X(ZONED_REPORT, "zoned-report", "BLK-Z.report", "reports the pointer of an empty zone as 0") \
	X(ZONED_REPORT_INSIDE, "zoned-report-inside", "BLK-Z.report-inside", "begins a report with the next zone, if the sector is inside of one") \
	X(ZONED_REPORT_LENGTH, "zoned-report-length", "BLK-Z.report-length", "counts all zones in nr_zones, transferred or not") \
	X(ZONED_REPORT_PIECES, "zoned-report-pieces", "BLK-Z.report-pieces", "reports nothing into a buffer in pieces") \
	X(ZONED_REPORT_BEYOND, "zoned-report-beyond", "BLK-Z.report-beyond", "reports its last zone for sectors beyond the end") \
	X(ZONED_REPORT_SHORT, "zoned-report-short", "BLK-Z.report-short", "answers OK to a report without room for the header") \
	X(ZONED_READ_BORDER, "zoned-read-border", "BLK-D-24.read", "reads over the border of a zone") \
	X(ZONED_CONV, "zoned-conventional", "BLK-D-17.commands", "takes commands for a conventional zone") \
	X(ZONED_CONV_APPEND, "zoned-conventional-append", "BLK-D-18.conventional", "takes appends to a conventional zone") \
	X(ZONED_BEYOND, "zoned-command-beyond", "BLK-Z.command-beyond", "answers OK to commands beyond the end") \
	X(ZONED_STATE, "zoned-state", "BLK-Z.write", "leaves the state of a zone as it is when it is written") \
	X(ZONED_FULL, "zoned-full", "BLK-Z.full", "never has a full zone") \
	X(ZONED_CLOSED, "zoned-closed", "BLK-Z.closed", "makes a zone that was opened one that a write opened") \
	X(ZONED_CLOSE_EMPTY, "zoned-close-empty", "BLK-Z.close-empty", "has a closed zone with nothing in it") \
	X(ZONED_OPEN_AGAIN, "zoned-open-again", "BLK-Z.transitions", "refuses to open a zone that is open") \
	X(ZONED_STAY, "zoned-stay", "BLK-Z.stay", "empties its zones with each connection") \
	X(ZONED_OFF_START, "zoned-off-start", "BLK-Z.off-start", "takes any sector of a zone for the zone") \
	X(ZONED_FRAMING, "zoned-framing", "BLK-Z.append-framing", "tells no append_sector if the status is not in a buffer of its own") \
	X(ZONED_PADDED, "zoned-padded", "BLK-Z.append-padded", "tells append_sector in front of the status, behind padding") \
	X(ZONED_APPEND_FAILED, "zoned-append-failed", "BLK-Z.append-failed", "reports nine bytes for an append that failed") \
	X(ZONED_GRANULE, "zoned-granule", "BLK-Z.granule", "takes writes of any number of sectors") \
	X(ZONED_APPEND_GRANULE, "zoned-append-granule", "BLK-Z.append-granule", "takes appends of any number of sectors") \
	X(ZONED_RESET_ALL, "zoned-reset-all", "BLK-Z.reset-all", "leaves closed zones out of a reset of all") \
	X(ZONED_IMPLICIT, "zoned-implicit", "BLK-Z.implicit", "closes no zone for another one") \
	X(ZONED_APPEND_START, "zoned-append-start", "BLK-D-18.start", "takes any sector of a zone in an append") \
	X(ZONED_IMPOSSIBLE, "zoned-impossible", "BLK-D-19.impossible", "opens full zones") \
	X(ZONED_OPEN_LIMIT, "zoned-open-limit", "BLK-D-20.open", "lets any number of zones be open") \
	X(ZONED_ACTIVE_LIMIT, "zoned-active-limit", "BLK-D-20.active", "lets any number of zones be active") \
	X(ZONED_CAPACITY, "zoned-capacity", "BLK-D-21.capacity", "answers ZONE_UNALIGNED_WP to what exceeds the capacity") \
	X(ZONED_PLACE, "zoned-position", "BLK-D-22.position", "tells the sector behind what it appended") \
	X(ZONED_PARALLEL, "zoned-parallel", "BLK-D-22.parallel", "tells the place of every third append as the one before") \
	X(ZONED_APPEND_LENGTH, "zoned-append-length", "BLK-D-23.length", "takes appends of any length") \
	X(ZONED_BORDER, "zoned-border", "BLK-D-24.write", "answers IOERR to a write over the border of a zone") \
	X(ZONED_POINTER, "zoned-pointer", "BLK-D-25.pointer", "takes writes anywhere in a zone") \
	X(ZONED_BEHIND, "zoned-behind", "BLK-D-27.behind", "keeps what was in a zone that is reset") \
	/* vhost-user */ \
	X(REPLY_FLAG,	    "reply-flag",	  "VU-H.reply",			"leaves the reply flag out") \
	X(ONE_MESSAGE,	    "one-message",	  "VU-H.together",		"throws away what came with a message") \
	X(NO_ACK,	    "no-ack",		  "VU-ACK.each",		"ignores need_reply on SET_VRING_NUM") \
	X(ACK_WRONG,	    "ack-wrong",	  "VU-ACK.each",		"answers 1 where all is well") \
	X(ACK_TWICE,	    "ack-twice",	  "VU-ACK.own-reply",		"answers GET_FEATURES twice with need_reply") \
	X(ACK_ALWAYS,	    "ack-always",	  "VU-ACK.unasked",		"answers without need_reply") \
	X(PLAIN,	    "plain",		  "VU-1.plain",			"leaves rings disabled without PROTOCOL_FEATURES") \
	X(FEATURES_DISABLE, "features-disable",	  "VU-2.again",			"disables rings with SET_FEATURES") \
	X(QUEUE_NUM,	    "queue-num",	  "VU-17.queues",		"answers 0 to GET_QUEUE_NUM") \
	X(ONE_REGION,	    "one-region",	  "VU-5.two-regions",		"knows only the first region of SET_MEM_TABLE") \
	X(TABLE_FORGETS,    "table-forgets",	  "VU-5.again",			"forgets its rings with a second SET_MEM_TABLE") \
	X(REM_OFFSET,	    "rem-offset",	  "VU-37.add-remove",		"looks for a region by its offset, too") \
	X(REM_ALL,	    "rem-all",		  "VU-37.add-remove",		"removes all regions with REM_MEM_REG") \
	X(CONFIG_SIZE,	    "config-size",	  "VU-24.sizes",		"answers GET_CONFIG with 96 bytes always") \
	X(CONFIG_OFFSET,    "config-offset",	  "VU-24.parts",		"ignores the offset of GET_CONFIG") \
	X(CONFIG_WRITE,	    "config-write",	  "VU-25.read-only",		"lets the front end write the capacity") \
	X(BASE_WRONG,	    "base-wrong",	  "VU-11.base",			"answers GET_VRING_BASE with one too few") \
	X(BASE_IGNORED,	    "base-ignored",	  "VU-11.restart",		"begins at 0 whatever SET_VRING_BASE says") \
	X(BASE_STICKS,	    "base-sticks",	  "VU-11.elsewhere",		"begins where it stopped whatever SET_VRING_BASE says") \
	X(STOP_IGNORED,	    "stop-ignored",	  "VU-11.stopped",		"goes on with a stopped ring") \
	X(STOP_LATE,	    "stop-late",	  "VU-11.drained",		"completes requests after GET_VRING_BASE was answered") \
	X(STOP_EARLY,	    "stop-early",	  "VU-11.drained",		"counts requests in the base that it did not complete") \
	X(KICK_FIRST,	    "kick-first",	  "VU-18.kick-first",		"loses a kick that comes before SET_VRING_ENABLE") \
	X(DISABLE_IGNORED,  "disable-ignored",	  "VU-18.disabled",		"ignores SET_VRING_ENABLE 0") \
	X(ENABLED_EARLY,    "enabled-early",	  "VU-18.initially",		"has rings enabled from the start") \
	X(DISABLE_STOPS,    "disable-stops",	  "VU-18.again",		"cannot enable a ring again") \
	X(DISABLE_ALL,	    "disable-all",	  "VU-18.each",			"disables all rings at once") \
	X(CALL_SWAP,	    "call-swap",	  "VU-13.swap",			"keeps the first call fd") \
	X(CALL_OLD,	    "call-old",		  "VU-13.old",			"notifies the old call fd along with the new one") \
	X(CALL_NEEDED,	    "call-needed",	  "VU-13.none",			"serves nothing without a call fd") \
	X(RESET_IGNORED,    "reset-ignored",	  "VU-34.reset",		"ignores RESET_DEVICE") \
	X(RESET_FORGETS,    "reset-forgets",	  "VU-34.reset",		"forgets its memory with RESET_DEVICE") \
	X(LOG_DATA,	    "log-data",		  "VU-6.log",			"does not log data") \
	X(LOG_USED,	    "log-used",		  "VU-6.log",			"does not log the used ring") \
	/* Hostile front ends */ \
	X(DIE_UNKNOWN,	    "die-unknown",	  "V-03.unknown",		"dies of an unknown message") \
	X(DIE_INDEX,	    "die-index",	  "V-07.index",			"dies of a ring index that is too large") \
	X(DIE_LOOP,	    "die-loop",		  "R-05.loop",			"dies of a descriptor loop") \
	X(HANG_LOOP,	    "hang-loop",	  "R-05.table-loop",		"hangs in a loop inside an indirect table") \
	X(DIE_OUTSIDE,	    "die-outside",	  "R-10.outside",		"dies of an address outside memory") \
	X(DIE_ZERO,	    "die-ring-zero",	  "R-15.size",			"dies of a ring of 0 entries") \
	X(LENIENT,	    "lenient",		  "R-10.end",			"serves requests that end outside memory") \
	X(BREAK_ALL,	    "break-all",	  "R-00.other-queue",		"stops all queues when one is broken") \
	X(READABLE_STATUS,  "readable-status",	  "B-01.status-readable",	"writes a status byte that is readable only") \
	X(READABLE_DATA,    "readable-data",	  "B-07.in",			"reads into a readable buffer")
/* clang-format on */

enum mutation {
	M_NONE,
#define X(id, name, where, what) M_##id,
	MUTATIONS(X)
#undef X
};

#endif
