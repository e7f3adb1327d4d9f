import { readdirSync } from 'node:fs'
import { cpus } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type BackendChoice, type BackendName, useBackend } from '../../src/backend/choose.js'
import { shellCommand } from '../../src/cluster/shell-command.js'
import { writeFileAtomic } from '../../src/files/atomic.js'
import { modelCost } from '../../src/models/cost.js'
import { type ReportSection, type ResultRow, reportHtml } from '../../src/report/html.js'
import type { RoutedImage } from '../../src/report/routing-figure.js'
import type { ReportedRouting } from '../../src/report/routing-table.js'
import { lockedRun } from '../../src/run/run-folder.js'
import { modelRouters } from '../../src/run/starting-routers.js'
import { measureRouting } from '../../src/train/routing/routing-summary.js'
import { buildNetwork } from '../run/network.js'
import { newWholeRun } from '../run/new-run.js'
import { routedImages } from '../run/routed-images.js'
import { trainRun } from '../run/training-run.js'
import { type Interrupt, interruptedExitCode, onInterrupt } from '../terminal/interrupt.js'
import { packageVersion } from '../terminal/package-version.js'
import { remarkText } from '../terminal/remark-text.js'
import { textTable } from '../terminal/text-table.js'
import { duration, percent, trainingLog } from '../terminal/training-log.js'
import { type DemoTask, demoTasks } from './demo-plan.js'

/** The flags of `pmoe demo`. */
export interface DemoRequest {
  readonly seed: number
  readonly backend?: BackendName | 'auto'
  readonly out?: string
  readonly force?: boolean
  readonly quick?: boolean
}

const DEFAULT_FOLDER = join('runs', 'demo')
const SHOWN_IMAGES = 12

/** Runs the demo: trains, prints the table of results, writes the report and says where it is. */
export async function runDemo(request: DemoRequest): Promise<void> {
  const folder = request.out ?? DEFAULT_FOLDER
  if (request.out !== undefined && !request.force) refuseUsed(request.out)
  const began = performance.now()
  const backend = await useBackend(request.backend ?? 'auto')
  say(`Backend ${backend.name}: ${backend.reason}. Seed ${request.seed}. Runs and report go to ${folder}`)
  const interrupt = onInterrupt(() => say('\nStopping after the running step …'))
  try {
    const sections: DemoSection[] = []
    for (const task of demoTasks) {
      const section = await runTask(task, { request, folder, backend, interrupt })
      if (!section) {
        process.exitCode = interruptedExitCode
        return
      }
      sections.push(section)
    }
    const report = join(folder, 'report.html')
    await writeFileAtomic(report, await demoReport(sections, request, backend))
    say(`\n${resultTable(sections)}\n`)
    say(
      `Took ${duration((performance.now() - began) / 1000)}. Report: ${pathToFileURL(resolve(report)).href}`,
    )
  } finally {
    interrupt.release()
  }
}

interface DemoSection extends ReportSection {
  readonly samples: number
  readonly epochs: number
  readonly seed: number
}

interface DemoContext {
  readonly request: DemoRequest
  readonly folder: string
  readonly backend: BackendChoice
  readonly interrupt: Interrupt
}

/** Trains the networks of one dataset; undefined when interrupted. */
async function runTask(task: DemoTask, context: DemoContext): Promise<DemoSection | undefined> {
  const results: ResultRow[] = []
  const curves: { name: string; points: ReportSection['curves'][number]['points'] }[] = []
  let images: readonly RoutedImage[] = []
  const routing: ReportedRouting[] = []
  const remarks: string[] = []
  let size = { samples: 0, epochs: 0 }
  say(`\n${task.title} (${task.dataset})`)
  for (const { model, name } of task.models) {
    const { request, folder, backend, interrupt } = context
    const flags = { ...(request.quick ? task.quickFlags : task.flags), seed: request.seed }
    const { config, data } = await newWholeRun({ dataset: task.dataset, model, flags }, backend)
    const network = buildNetwork(config.model.options, data.train, config.seed)
    const { run, lock } = await lockedRun(join(folder, `${task.dataset}-${model}`), config, {
      force: true,
      routers: await modelRouters(network),
    })
    const log = trainingLog(name.padEnd(20))
    const outcome = await trainRun({ run, model: network, data, log, signal: interrupt.signal })
      .finally(log.close)
      .finally(lock.release)
    if (outcome.ended === 'aborted') return undefined
    const { parameters, multiplyAdds } = modelCost(network)
    const accuracy = outcome.history.at(-1)?.testAccuracy ?? Number.NaN
    results.push({
      model: name,
      accuracy,
      parameters: parameters.total,
      multiplyAdds: multiplyAdds.forward,
      seconds: outcome.seconds,
    })
    curves.push({ name, points: outcome.history })
    size = { samples: data.train.count, epochs: config.training.epochs }
    images = await routedImages(network, data.test, SHOWN_IMAGES)
    for (const { remark } of outcome.history.flatMap(epoch => epoch.signs ?? []))
      remarks.push(`${name}: ${remarkText(remark)}`)
    const measured = await measureRouting(network, data.test)
    if (measured) routing.push({ model: name, classNames: data.test.classNames, ...measured })
    network.dispose()
  }
  const { title, description, imagesNote } = task
  const sizes = `Trained on ${size.samples} images for ${size.epochs} epochs with seed ${context.request.seed}.`
  return {
    title,
    description: `${description} ${sizes}`,
    imagesNote,
    results,
    curves,
    images,
    remarks,
    routing,
    ...size,
    seed: context.request.seed,
  }
}

function resultTable(sections: readonly DemoSection[]): string {
  const rows = sections.flatMap(({ results, samples, epochs, seed }) =>
    results.map(({ model, accuracy, parameters, multiplyAdds, seconds }) => [
      model,
      percent(accuracy),
      parameters.toLocaleString('en-US'),
      multiplyAdds.toLocaleString('en-US'),
      seconds.toFixed(1),
      String(samples),
      String(epochs),
      String(seed),
    ]),
  )
  const head = [
    'model',
    'test accuracy',
    'parameters',
    'multiply-adds a sample',
    'seconds',
    'images',
    'epochs',
    'seed',
  ]
  return textTable(head, rows)
}

function demoReport(
  sections: readonly DemoSection[],
  request: DemoRequest,
  backend: BackendChoice,
): Promise<string> {
  const words = ['pmoe', 'demo', '--backend', backend.name, '--seed', String(request.seed)]
  if (request.quick) words.push('--quick')
  if (request.out !== undefined) words.push('--out', request.out, '--force')
  return reportHtml({
    title: 'Patch-level mixture of experts: the demo',
    summary:
      'Two networks and their mixtures of experts, trained from scratch on the sample images that come with patch-moe. ' +
      'One seed each: accuracies differ by a few points between seeds.',
    settings: [
      [
        'Backend',
        backend.tensorflow ? `${backend.name}, TensorFlow ${backend.tensorflow.version}` : backend.name,
      ],
      ['Seed', String(request.seed)],
      ['patch-moe', packageVersion()],
      ['Node', process.versions.node],
      ['Processor', `${cpus()[0]?.model.trim() ?? 'unknown'}, ${cpus().length} cores`],
      ['Date', new Date().toISOString().slice(0, 10)],
    ],
    sections,
    command: shellCommand(words),
  })
}

function refuseUsed(folder: string): void {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    // The folder does not exist or is not readable; in the latter case writing fails.
    return
  }
  if (names.length > 0) {
    throw new Error(
      `demo: --out must be new or empty, got ${folder} with ${names.length} entries (--force replaces its demo)`,
    )
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
