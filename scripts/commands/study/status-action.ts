import { cellText } from '../../study/cell.js'
import { studyCells } from '../../study/study-config.js'
import { openStudy } from '../../study/study-folder.js'
import { duration } from '../../terminal/training-log.js'

/** The flags of `pmoe study status`. */
export interface StudyStatusRequest {
  readonly json?: boolean
}

/** Writes how many cells of a study are done, and how long the rest will take. */
export async function runStudyStatus(directory: string, { json }: StudyStatusRequest): Promise<void> {
  const folder = await openStudy(directory)
  const cells = studyCells(folder.config)
  const results = [...(await folder.results(cells)).values()]
  const failed = results.filter(result => result.status === 'failed')
  const done = results.length - failed.length
  const left = cells.length - results.length
  const took = results.reduce((sum, result) => sum + result.took, 0)
  // Every seed has the same cells, so the mean time of the finished cells is an estimate for the others.
  const leftSeconds = results.length > 0 ? (took / results.length) * left : null
  if (json) {
    const { experiment, scale, seeds } = folder.config
    const status = { experiment, scale, seeds, cells: cells.length, done, left, leftSeconds, failed }
    process.stdout.write(`${JSON.stringify(status)}\n`)
    return
  }
  const estimate =
    leftSeconds === null || left === 0
      ? ''
      : `; about ${duration(leftSeconds)} of computing left, one cell at a time`
  const lines = failed.map(
    ({ cell, reason, message }) => `  cell ${cell.index} (${cellText(cell)}): ${reason}, ${message}`,
  )
  process.stdout.write(
    `${folder.config.experiment}, ${folder.config.scale} scale: ${done} of ${cells.length} cells done, ` +
      `${failed.length} failed, ${left} left${estimate}\n${lines.map(line => `${line}\n`).join('')}`,
  )
}
