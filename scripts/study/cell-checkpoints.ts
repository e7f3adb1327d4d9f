import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileCheckpoints } from '../../src/run/run-folder.js'
import { type CheckpointStore, latestCheckpoint, readCheckpoint } from '../../src/train/checkpoint.js'
import type { TrainOptions } from '../../src/train/train-options.js'
import { packageVersion } from '../terminal/package-version.js'

/** A training of a cell stores its state this often at most, in milliseconds: what a killed process loses. */
const betweenMs = 30_000

/** The state of the training of a cell, from which another process goes on when the one that ran it was stopped or killed. */
export interface CellCheckpoints {
  /**
   * The options of `train` with which the training of this cell goes on where it was stopped; it begins where nothing is stored,
   * or what is stored is damaged or of another version or configuration.
   *
   * @param key identifies the configuration of the training
   */
  options(key: string): Promise<Pick<TrainOptions, 'checkpoints' | 'configKey' | 'resume'>>
  /** Stores the newest state, of a cell that is stopped. */
  flush(): Promise<void>
  /** Deletes what is stored, of a cell that has its result. */
  remove(): Promise<void>
}

/** The folder below that of a cell where its state is kept, and the file in it. */
export const cellCheckpoint = { folder: 'checkpoints', file: latestCheckpoint } as const

/** @param folder that of the cell */
export function cellCheckpoints(folder: string): CellCheckpoints {
  const directory = join(folder, cellCheckpoint.folder)
  const files = fileCheckpoints(directory)
  let newest: Uint8Array | undefined
  let stored = performance.now()
  const flush = async () => {
    if (!newest) return
    const bytes = newest
    newest = undefined
    await files.write(latestCheckpoint, bytes)
    stored = performance.now()
  }
  const checkpoints: CheckpointStore = {
    read: files.read,
    async write(_, bytes) {
      newest = bytes
      if (performance.now() - stored >= betweenMs) await flush()
    },
  }
  return {
    async options(key) {
      const configKey = JSON.stringify({ version: packageVersion(), configuration: key })
      const bytes = await files.read(latestCheckpoint)
      const state = bytes && storedState(bytes, join(directory, latestCheckpoint))
      return { checkpoints, configKey, ...(state?.configKey === configKey && { resume: state }) }
    },
    flush,
    remove: () => rm(directory, { recursive: true, force: true }),
  }
}

function storedState(bytes: Uint8Array, path: string) {
  try {
    return readCheckpoint(bytes, path)
  } catch {
    // A damaged state costs time, and not the cell.
    return undefined
  }
}
