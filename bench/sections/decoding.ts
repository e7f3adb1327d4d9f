import { fileURLToPath } from 'node:url'
import type { ChildCommand } from '../../scripts/run/measuring/child-process.js'
import { type ChildReport, factOf, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { countText, ratiosText, secondsText } from '../../scripts/run/measuring/number-text.js'
import { type Sitting, sit } from '../../scripts/run/measuring/sitting.js'
import { median, pairRatios, summarize } from '../../scripts/run/measuring/statistics.js'
import type { SectionResult, Table } from '../bench-result.js'
import type { DecodingJob } from '../jobs.js'
import { ownCommand } from '../own-command.js'
import { type BenchContext, roundsOf } from '../section.js'
import { asMeasured, type MeasuredTargets } from '../targets.js'
import { facesPath } from '../workloads/decoding.js'

const who = 'decoding'
const pillow = 'Pillow'
const side = 64

/** Measures how fast JPEG files are decoded, beside sharp alone and beside Pillow: workload (l). */
export async function measureDecodings(context: BenchContext): Promise<SectionResult> {
  const job: DecodingJob = {
    workload: 'decoding',
    backend: 'cpu',
    ...roundsOf(context, { warmUp: 1, rounds: 3 }),
    images: context.quick ? 6 : 600,
    side,
  }
  const commands = [
    ownCommand(who, job),
    ...(context.python === undefined ? [] : [pillowCommand(context.python, job)]),
  ]
  const sitting = await sit('(l)', commands, context.quick ? 1 : 5, context)
  const measured = sitting.reports.has(who) ? decodingTargets(sitting) : {}
  return {
    tables: sitting.reports.has(who) ? [decodingTable(sitting)] : [],
    measured,
    reports: Object.fromEntries(sitting.reports),
    failures: sitting.failures,
  }
}

function pillowCommand(python: string, { warmUp, rounds, images }: DecodingJob): ChildCommand {
  const script = fileURLToPath(new URL('../peers/pillow_decode.py', import.meta.url))
  const numbers = { 'warm-up': warmUp, rounds, images, side }
  const flags = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)])
  return { who: pillow, program: python, arguments: [script, facesPath(), ...flags], environment: {} }
}

/** Seconds an image in each process, the median of its runs. */
function imageSeconds(sitting: Sitting, process: string, name: string): number[] | undefined {
  return sitting.numbers(process, report => median(perImage(report, name)))
}

function perImage(report: ChildReport, name: string): number[] {
  return secondsOf(report, name).map(seconds => seconds / factOf(report, 'images'))
}

/** The table: images a second in one process, by who decodes. */
export function decodingTable(sitting: Sitting): Table {
  const own = imageSeconds(sitting, who, 'decode') as number[]
  const row = (what: string, process: string, name: string): string[] => {
    const seconds = imageSeconds(sitting, process, name)
    if (!seconds) return [what, 'not measured', '', '']
    const typical = median(seconds)
    return [
      what,
      secondsText(typical),
      countText(1 / typical),
      ratiosText(summarize(pairRatios(own, seconds))),
    ]
  }
  return {
    letter: 'l',
    title: `Decoding, JPEG of 178x218 to ${side}x${side} RGB`,
    sentence:
      'Compares decoding drawn faces from memory in one process with sharp alone and with Pillow, process by process in turn.',
    head: ['what', 'an image', 'images/s', 'time of ours / its time'],
    rows: [
      row('ours, in one thread', who, 'decode'),
      row('sharp alone, one after the other', who, 'sharp'),
      row('sharp alone, 4 in flight', who, 'sharp, 4 in flight'),
      row('Pillow, full size, then bilinear', pillow, 'full'),
      row('Pillow, half size (draft), then bilinear', pillow, 'draft'),
    ],
  }
}

/** What was measured for the targets of decoding. */
export function decodingTargets(sitting: Sitting): MeasuredTargets {
  const own = imageSeconds(sitting, who, 'decode')
  const full = imageSeconds(sitting, pillow, 'full')
  if (!own || !full) return {}
  return { 'decode/pillow': asMeasured(summarize(pairRatios(own, full))) }
}
