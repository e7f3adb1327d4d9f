import type { CellResult } from '../../../scripts/study/cell-result.js'
import type { WorkerOrder } from '../../../scripts/study/worker-messages.js'

/** A worker that reports what it is told, dies of the second cell and hangs in the fourth. */
process.on('message', (order: WorkerOrder) => {
  if (order.kind === 'study') {
    if (order.config.experiment === 'fig5') process.send?.({ kind: 'broken', message: 'no backend here' })
    else process.send?.({ kind: 'ready' })
  } else if (order.kind === 'end') {
    process.exit(0)
  } else if (order.cell.index === 1) {
    process.stderr.write('out of memory\n', () => process.kill(process.pid, 'SIGKILL'))
  } else if (order.cell.index !== 3) {
    const result: CellResult = {
      status: 'failed',
      cell: order.cell,
      reason: 'error',
      message: `told by ${process.env.TF_NUM_INTRAOP_THREADS} threads`,
      took: 0,
      ended: '',
    }
    process.send?.({ kind: 'result', result })
  }
})
process.on('disconnect', () => process.exit(0))
