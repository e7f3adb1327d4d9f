import { duration } from '../../terminal/training-log.js'
import type { DoneCell } from '../cell-result.js'
import { costVariant } from '../grids/large-images-grid.js'
import { trainOnLargeImages } from '../large-images/large-images-cell.js'
import {
  megapixelBrief,
  megapixelFigure,
  megapixelFindings,
  megapixelTables,
} from '../large-images/megapixel-report.js'
import { summarizeMegapixel } from '../large-images/megapixel-summary.js'
import { timeSteps } from '../large-images/step-times.js'
import { points } from '../wording.js'
import { refuseFolders, type StudyKind } from './study-kind.js'

/** Studies of networks that read large images whole, small, or in patches. */
export const megapixelStudies: StudyKind<'megapixel'> = {
  dataSentence: ({ data }) => data,
  isStandIn: () => false,
  checkFiles: (_, config) => refuseFolders(config, 'images that are drawn'),
  async run({ folder, grid, cell, backend, checkpoints, signal }) {
    if (cell.variant === costVariant) {
      return { largeImageTimes: await timeSteps(grid, cell, { backend, signal }) }
    }
    const onLargeImages = await trainOnLargeImages(grid, cell, {
      backend,
      checkpoints,
      signal,
      keepConfig: run => folder.keepCellConfig(cell.index, { cell, run }),
      keepNetwork: network => folder.keepNetwork(cell.index, network),
    })
    return { onLargeImages }
  },
  report(experiment, grid, results, peers) {
    const summary = summarizeMegapixel(experiment, grid, results, peers)
    return {
      summary,
      findings: megapixelFindings(experiment, summary),
      brief: megapixelBrief(experiment, summary),
      tables: megapixelTables(summary),
      spec: megapixelFigure(experiment, summary),
    }
  },
  resultText,
  commonSettings: ({ steps, batchSize, tasks }) => [
    ['Training steps', `about ${steps}, whole epochs, ${batchSize} images each`],
    ['Test images', tasks.map(({ name, testSamples }) => `${testSamples} (${name})`).join(', ')],
    ['Training', 'Adam 3e-3, cosine, gradients clipped at norm 1, images moved by up to half a cell'],
  ],
}

function resultText({ onLargeImages, largeImageTimes, took }: DoneCell): string {
  if (largeImageTimes) {
    const times = largeImageTimes.map(
      ({ variant, milliseconds }) => `${variant} ${milliseconds.toFixed(1)} ms`,
    )
    return `${times.join(', ')} an image, ${duration(took)}`
  }
  if (!onLargeImages) return 'no result'
  const { testAccuracy, recall } = onLargeImages
  const found = recall === undefined ? '' : `, recall ${points(recall)} %`
  return `test ${points(testAccuracy)} %${found}, ${duration(took)}`
}
