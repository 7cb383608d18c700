#include "client/cli/progress.h"

#include "base/clock.h"

enum { BAR_CELLS = 30 };

static void add_left(struct sg_buf *out, double seconds)
{
    unsigned long long left = (unsigned long long)(seconds + 0.5);

    if (left < 60)
        sg_buf_printf(out, "  %llu s left", left);
    else if (left < 3600)
        sg_buf_printf(out, "  %llu min %02llu s left", left / 60, left % 60);
    else
        sg_buf_printf(out, "  %llu h %02llu min left", left / 3600, left / 60 % 60);
}

void sg_progress_line(const struct sg_progress *progress, struct sg_buf *out)
{
    uint64_t total = progress->total, done = progress->done < total ? progress->done : total;
    uint64_t made = done > progress->before ? done - progress->before : 0;
    double seconds = (double)progress->elapsed_ns / (double)SG_NS_PER_S, rate;
    uint64_t cells = total == 0 ? BAR_CELLS : done * BAR_CELLS / total;

    sg_buf_add_u8(out, '[');
    for (uint64_t i = 0; i < BAR_CELLS; i++)
        sg_buf_add_u8(out, i < cells ? '#' : '.');
    sg_buf_printf(out, "]  %llu/%llu  %llu %%", (unsigned long long)done, (unsigned long long)total,
                  (unsigned long long)(total == 0 ? 100 : done * 100 / total));
    /* Less than this says nothing about the rest. */
    if (made > 0 && seconds >= 0.5) {
        rate = (double)made / seconds;
        sg_buf_printf(out, "  %.*f/s", rate < 10 ? 1 : 0, rate);
        if (done < total)
            add_left(out, (double)(total - done) / rate);
    }
    if (progress->failed > 0)
        sg_buf_printf(out, "  %llu failed", (unsigned long long)progress->failed);
}
