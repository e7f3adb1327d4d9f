import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { writeFileAtomic } from '../../src/files/atomic.js'
import { chartSvg } from '../../src/report/charts.js'
import { learningRateFigureSpec } from '../../src/report/learning-rate-figure.js'
import { findLearningRate, type LearningRateCurve } from '../../src/train/find-learning-rate.js'
import { trainingImages } from '../run/run-data.js'
import { preparedTraining, requiredNames, type TrainingRequest } from '../run/training/prepared-training.js'
import { searchOptions } from '../run/training-run.js'
import { noteText } from '../terminal/safe-output.js'
import { UsageError } from '../terminal/usage-error.js'

/** The flags of `pmoe find-rate`, as commander hands them over. */
export interface FindRateRequest extends TrainingRequest {
  /** Path of the curve. */
  readonly out?: string
  readonly json?: boolean
}

/** Tries growing learning rates, writes their curve and prints the suggestion. */
export async function runFindRate(request: FindRateRequest): Promise<void> {
  const { out = nextFree(), json, ...flags } = request
  checkCurve(out)
  const { dataset, model } = requiredNames(flags, 'find-rate')
  const { config, data, network, notes } = await preparedTraining(flags, 'find-rate')
  for (const note of [...data.notes, ...notes]) process.stderr.write(`${noteText(note)}\n`)
  const curve = await findLearningRate(network, {
    ...searchOptions(config),
    train: trainingImages(network, data, config),
  })
  const { tried, suggestion } = curve
  if (tried.length === 0) {
    throw new Error('find-rate: loss must be finite before the first step, got one that is not')
  }
  const title = `${dataset} ${model}, ${config.training.optimizer}, batches of ${config.training.batchSize}`
  await writeFileAtomic(out, await chartSvg(learningRateFigureSpec(tried, { title, suggestion })))
  process.stdout.write(json ? `${JSON.stringify({ ...curve, curve: out })}\n` : rateText(curve, out))
}

/** The first of learning-rate.svg, learning-rate-2.svg, ... that does not exist. */
function nextFree(): string {
  for (let number = 1; ; number++) {
    const path = number === 1 ? 'learning-rate.svg' : `learning-rate-${number}.svg`
    if (!existsSync(path)) return path
  }
}

function checkCurve(path: string): void {
  if (!path.endsWith('.svg')) throw new UsageError(`find-rate: --out must end in .svg, got ${path}`)
  if (existsSync(path)) throw new UsageError(`find-rate: --out must not be there yet, got ${path}`)
  if (existsSync(dirname(path))) return
  throw new UsageError(`find-rate: --out must be in a folder that exists, got ${path}`)
}

/** What a search found, a line for people. */
export function rateText({ tried, suggestion }: LearningRateCurve, out: string): string {
  const last = tried.at(-1)?.learningRate ?? 0
  const range = `${tried.length} steps with rates up to ${last.toPrecision(2)}; the curve is in ${out}`
  return suggestion === undefined
    ? `No learning rate lowered the loss: ${range}\n`
    : `Suggested: --lr ${Number(suggestion.toPrecision(2))} (${range})\n`
}
