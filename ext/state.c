/* pgkeel.fence(): the gate as SQL sees it. */
#include "pgkeel.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(keel_fence);

#define COLUMNS 11

Datum keel_fence(PG_FUNCTION_ARGS) {
    static char const *const kLevels[] = {"off", "local", "remote_write", "on", "remote_apply"};
    Datum values[COLUMNS];
    bool nulls[COLUMNS] = {false};
    TupleDesc columns;
    int64 const deadline = KEEL_LOOK(deadline_us);
    uint32 const floor = KEEL_LOOK(floor);
    bool const open = keel_gate_open();

    if (get_call_result_type(fcinfo, NULL, &columns) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    columns = BlessTupleDesc(columns);
    values[0] = BoolGetDatum(open);
    values[1] = Int64GetDatum((deadline - keel_now_us()) / 1000);
    nulls[1] = deadline == 0;
    values[2] = Int64GetDatum((int64)KEEL_LOOK(epoch));
    values[3] = BoolGetDatum(KEEL_LOOK(recheck) != 0);
    values[4] = CStringGetTextDatum(kLevels[Min(floor, lengthof(kLevels) - 1)]);
    values[5] = BoolGetDatum(KEEL_LOOK(logins) == 1);
    values[6] = BoolGetDatum(KEEL_LOOK(unmask) != 0);
    values[7] = Int64GetDatum((int64)KEEL_LOOK(refused));
    values[8] = Int64GetDatum((int64)KEEL_LOOK(held));
    values[9] = CStringGetTextDatum(psprintf("%d.%d.%d", PGKEEL_LIBRARY_VERSION / 10000,
                                             PGKEEL_LIBRARY_VERSION / 100 % 100, PGKEEL_LIBRARY_VERSION % 100));
    nulls[10] = open;
    if (!open) values[10] = CStringGetTextDatum(keel_gate_why_shut());
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(columns, values, nulls)));
}
