import { type BackendName, useBackend } from '../../src/backend/choose.js'
import { explain } from '../../src/explain/explain.js'
import { readImage } from '../../src/files/image-files.js'
import { openRun } from '../../src/files/run-folder.js'
import type { KeptPatches } from '../../src/report/routing-figure.js'
import type { Size2D } from '../../src/shapes.js'
import { decodingOf } from '../run/model-decoding.js'
import type { OpenedModel } from '../run/opened-model.js'
import { loadTrained } from '../run/trained-model.js'
import { percent } from '../terminal/training-log.js'

/** The flags of `pmoe predict`. */
export interface PredictRequest {
  readonly backend?: BackendName | 'auto'
  readonly json?: boolean
}

/** What a model says of one image file. */
interface Prediction {
  readonly image: string
  readonly class: string
  readonly probability: number
  readonly probabilities: Readonly<Record<string, number>>
  /** For a mixture: the grid of patches, [rows, columns], and what each expert kept, best first. */
  readonly grid?: Size2D
  readonly experts?: readonly KeptPatches[]
}

/** Classifies image files and writes the classes, and for a mixture the patches that each expert kept. */
export async function runPredict(
  directory: string,
  paths: readonly string[],
  request: PredictRequest,
): Promise<void> {
  const run = await openRun(directory)
  await useBackend(request.backend ?? 'auto')
  const opened = { model: await loadTrained(run), directory, config: run.config }
  for (let first = 0; first < paths.length; first += BATCH) {
    const predictions = await predict(
      opened,
      paths.slice(first, first + BATCH),
      run.config.dataset.classNames,
    )
    for (const prediction of predictions) {
      process.stdout.write(`${request.json ? JSON.stringify(prediction) : predictionText(prediction)}\n`)
    }
  }
}

/** Images decoded and classified at a time. */
const BATCH = 32

async function predict(
  opened: OpenedModel,
  paths: readonly string[],
  classNames: readonly string[],
): Promise<Prediction[]> {
  const decoding = decodingOf(opened)
  const images = await Promise.all(paths.map(path => readImage(path, decoding)))
  const pixels = new Uint8Array(Buffer.concat(images))
  const { grid, images: explained } = await explain(opened.model, pixels, decoding.shape, {
    sensitivity: false,
  })
  return explained.map(({ probabilities, predicted, experts }, i) => ({
    image: paths[i] ?? '',
    class: classNames[predicted] ?? String(predicted),
    probability: probabilities[predicted] ?? Number.NaN,
    probabilities: Object.fromEntries(
      [...probabilities].map((value, label) => [classNames[label] ?? label, value]),
    ),
    ...(grid && { grid, experts }),
  }))
}

function predictionText({ image, class: name, probability, grid, experts }: Prediction): string {
  const lines = [`${image}: ${name} ${percent(probability)}`]
  if (!grid || !experts) return lines.join('\n')
  lines.push(`  of ${grid[0]}x${grid[1]} patches, numbered row by row from 0, with their gates:`)
  experts.forEach(({ patches, gates }, expert) => {
    const kept = patches.map((patch, i) => `${patch} (${gates[i]!.toPrecision(2)})`)
    lines.push(`  expert ${expert + 1} kept ${kept.join(', ')}`)
  })
  return lines.join('\n')
}
