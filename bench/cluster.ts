/**
 * Measures how steps of several workers scale on one machine: one worker on one core against two on two, BatchNorm synchronised and local,
 * gradients that travel beside the backward pass or after it, links of 1 and 10 Gbit/s between network namespaces.
 *
 *     npx tsx bench/cluster.ts [--steps 12] [--rounds 3] [--batch 32] [--links 1000,10000]
 *
 * WRN-10-2, 32x32, so many images a worker. Variants take turns, rounds alternate. Efficiency by time is meaningless on a machine that does other things;
 * that by processor time says what the workers compute besides the step, and not how long they wait.
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { childOutput } from '../scripts/run/measuring/child-process.js'
import { textTable } from '../scripts/terminal/text-table.js'
import { tfConfig } from '../src/cluster/launch.js'
import { type Namespaces, networkNamespaces } from './network-namespaces.js'

/** What is measured of one worker, medians of its steps. */
export interface WorkerSteps {
  readonly milliseconds: number
  /** Processor time, user and system. */
  readonly processorMs: number
  /** Time in which it waited for sums. */
  readonly waitedMs: number
}

/** One way to take the steps. */
interface Variant {
  readonly name: string
  readonly workers: number
  readonly batchNorm: 'synchronised' | 'local'
  readonly overlaps: boolean
  /** Mbit/s of a link; through the loopback of this machine unless given. */
  readonly link?: number
}

const { steps, rounds, batch, links } = new Command('cluster')
  .option('--steps <count>', 'steps of each worker and round', Number, 12)
  .option('--rounds <count>', 'rounds', Number, 3)
  .option('--batch <images>', 'images a worker', Number, 32)
  .option(
    '--links <rates>',
    'Mbit/s of links, by commas',
    text => text.split(',').map(Number),
    [1000, 10_000],
  )
  .parse()
  .opts<{ steps: number; rounds: number; batch: number; links: number[] }>()

const worker = fileURLToPath(new URL('./workloads/cluster-worker.ts', import.meta.url))
const loader = ['--import', import.meta.resolve('tsx')]

const variants: readonly Variant[] = [
  { name: 'one worker', workers: 1, batchNorm: 'synchronised', overlaps: true },
  { name: 'two, synchronised', workers: 2, batchNorm: 'synchronised', overlaps: true },
  { name: 'two, local', workers: 2, batchNorm: 'local', overlaps: true },
  { name: 'two, local, sums after the backward pass', workers: 2, batchNorm: 'local', overlaps: false },
  ...links.map(link => ({
    name: `two, local, ${link} Mbit/s`,
    workers: 2,
    batchNorm: 'local' as const,
    overlaps: true,
    link,
  })),
]

const machines = networkNamespaces(2)
if (typeof machines === 'string') console.log(`Links are not measured: ${machines}`)
let port = 24_000

async function measured(variant: Variant, hosts: Namespaces | undefined): Promise<WorkerSteps> {
  const { workers, link } = variant
  port += workers
  if (link !== undefined && !hosts?.limit(link))
    throw new Error(`bench: tc cannot limit a link to ${link} Mbit/s`)
  const addresses = Array.from({ length: workers }, (_, i) =>
    link === undefined ? `127.0.0.1:${port + i}` : `${hosts?.hosts[i]}:${port}`,
  )
  const outputs = await Promise.all(
    addresses.map((_, index) => {
      const inside = link === undefined ? [] : (hosts?.wordsOf(index) ?? [])
      const job = JSON.stringify({ steps, batch, ...variant })
      const [program = '', ...words] = [
        ...inside,
        'taskset',
        '-c',
        String(index),
        process.execPath,
        ...loader,
        worker,
        job,
      ]
      const environment = {
        TF_NUM_INTRAOP_THREADS: '1',
        TF_NUM_INTEROP_THREADS: '1',
        TF_CONFIG: workers === 1 ? '' : tfConfig(addresses, index),
      }
      return childOutput({ who: `${variant.name}, worker ${index}`, program, arguments: words, environment })
    }),
  )
  const all = outputs.map(output => JSON.parse(output.trim().split('\n').at(-1) ?? '') as WorkerSteps)
  const mean = (pick: (one: WorkerSteps) => number) =>
    all.reduce((sum, one) => sum + pick(one), 0) / all.length
  return {
    milliseconds: mean(one => one.milliseconds),
    processorMs: mean(one => one.processorMs),
    waitedMs: mean(one => one.waitedMs),
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] as number
}

const results = new Map<string, WorkerSteps[]>()
try {
  for (let round = 0; round < rounds; round++) {
    for (const variant of variants) {
      if (variant.link !== undefined && typeof machines === 'string') continue
      const result = await measured(variant, typeof machines === 'string' ? undefined : machines)
      results.set(variant.name, [...(results.get(variant.name) ?? []), result])
    }
  }
} finally {
  if (typeof machines !== 'string') machines.remove()
}

const medians = [...results].map(([name, all]) => ({
  name,
  milliseconds: median(all.map(one => one.milliseconds)),
  processorMs: median(all.map(one => one.processorMs)),
  waitedMs: median(all.map(one => one.waitedMs)),
}))
const [one] = medians
console.log(
  `load ${execFileSync('cat', ['/proc/loadavg'], { encoding: 'utf8' }).trim()}; ${batch} images a worker`,
)
console.log(
  textTable(
    ['', 'step, ms', 'processor, ms', 'waits, ms', 'efficiency', 'by processor time'],
    medians.map(({ name, milliseconds, processorMs, waitedMs }) => [
      name,
      milliseconds.toFixed(0),
      processorMs.toFixed(0),
      waitedMs.toFixed(0),
      ((one?.milliseconds ?? Number.NaN) / milliseconds).toFixed(3),
      ((one?.processorMs ?? Number.NaN) / processorMs).toFixed(3),
    ]),
  ),
)
