import type { Cell } from './cell.js'
import type { CellResult } from './cell-result.js'
import type { StudyConfig } from './study-config.js'

/** What a worker process is told. */
export type WorkerOrder =
  | { readonly kind: 'study'; readonly directory: string; readonly config: StudyConfig }
  | { readonly kind: 'cell'; readonly cell: Cell; readonly retryFailed: boolean }
  | { readonly kind: 'end' }

/**
 * What a worker process tells: that it can begin, what became of a cell or that another process has it, whose cell it took over,
 * or why it cannot work at all.
 */
export type WorkerReport =
  | { readonly kind: 'ready' }
  | { readonly kind: 'result'; readonly result: CellResult; readonly isEarlier: boolean }
  | { readonly kind: 'busy'; readonly message: string }
  | { readonly kind: 'takeover'; readonly from: string }
  | { readonly kind: 'broken'; readonly message: string }
