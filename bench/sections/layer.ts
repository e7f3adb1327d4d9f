import { type ChildReport, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { quartilesText, ratioText, secondsText } from '../../scripts/run/measuring/number-text.js'
import { sit } from '../../scripts/run/measuring/sitting.js'
import {
  type Line,
  lineFit,
  median,
  pairRatios,
  type Summary,
  summarize,
} from '../../scripts/run/measuring/statistics.js'
import type { SectionResult, Table } from '../bench-result.js'
import { type LayerJob, networkKernel } from '../jobs.js'
import { ownCommand } from '../own-command.js'
import { type BenchContext, roundsOf } from '../section.js'
import { asMeasured, type MeasuredTargets } from '../targets.js'

type LayerSize = Omit<LayerJob, 'workload' | 'backend' | 'warmUp' | 'rounds'>

/** The maps on which the layer is measured; the name is that of its targets. */
interface LayerSetting extends LayerSize {
  readonly name: '4x4' | '1x1'
}

const full: readonly LayerSetting[] = [
  {
    name: '4x4',
    side: 16,
    channels: 640,
    batch: 16,
    experts: 8,
    patch: 4,
    kernel: 3,
    keeps: [1, 2, 4, 8, 12, 16],
  },
  {
    name: '1x1',
    side: 8,
    channels: 640,
    batch: 64,
    experts: 4,
    patch: 1,
    kernel: 1,
    keeps: [1, 4, 8, 16, 32, 48, 64],
  },
]

const quick: readonly LayerSetting[] = [
  { name: '4x4', side: 16, channels: 16, batch: 2, experts: 4, patch: 4, kernel: 3, keeps: [1, 2, 16] },
  { name: '1x1', side: 4, channels: 16, batch: 2, experts: 4, patch: 1, kernel: 1, keeps: [1, 2, 16] },
]

/** Measures the layer against the convolution it replaces and against its masked dense form: workload (a). */
export async function measureLayers(context: BenchContext): Promise<SectionResult> {
  const tables: Table[] = []
  const failures: string[] = []
  const reports: Record<string, readonly ChildReport[]> = {}
  let measured: MeasuredTargets = {}
  for (const setting of context.quick ? quick : full) {
    const { name, ...size } = setting
    const rounds = { ...roundsOf(context, { warmUp: 1, rounds: 15 }), lead: 1 }
    const who = `layer ${mapText(setting)}`
    const job: LayerJob = { workload: 'layer', backend: context.backend, ...rounds, ...size }
    const sitting = await sit('(a)', [ownCommand(who, job)], 1, context)
    failures.push(...sitting.failures)
    const report = sitting.reports.get(who)?.[0]
    if (!report) continue
    reports[who] = [report]
    tables.push(layerTable(setting, report))
    measured = { ...measured, ...layerTargets(setting, report) }
  }
  return { tables, measured, reports, failures }
}

/** What the measurement of one map says of the targets. */
export function layerTargets(setting: LayerSetting, report: ChildReport): MeasuredTargets {
  const eighth = patchesOf(setting) / 8
  const isMeasured = setting.keeps.includes(eighth)
  const ratio = isMeasured ? ratioTo(report, `moe ${eighth}`, sameConv(setting)) : undefined
  const replaced = isMeasured
    ? ratioTo(report, `moe ${eighth}`, `conv ${networkKernel}x${networkKernel}`)
    : undefined
  return {
    [`line ${setting.name}`]: { value: lineOf(setting, report).rSquared },
    ...(ratio && { [`layer ${setting.name}`]: asMeasured(ratio) }),
    ...(replaced && setting.name === '1x1' && { 'layer 1x1 for 3x3': asMeasured(replaced) }),
  }
}

/** The table of one map: a line for every l. */
export function layerTable(setting: LayerSetting, report: ChildReport): Table {
  const patches = patchesOf(setting)
  const conv = sameConv(setting)
  const rows = setting.keeps.map(keep => {
    const [moe, masked] = [`moe ${keep}`, `masked ${keep}`]
    const time = summarize(secondsOf(report, moe))
    return [
      `${keep}`,
      ratioText(keep / patches),
      secondsText(time.median),
      quartilesText(time),
      ratioText(ratioTo(report, moe, conv).median),
      secondsText(median(secondsOf(report, masked))),
      ratioText(ratioTo(report, moe, masked).median),
    ]
  })
  const { experts, channels, kernel, patch } = setting
  return {
    letter: 'a',
    title: `PatchMoE, ${mapText(setting)}`,
    sentence:
      `Compares forward and backward of PatchMoE (${experts} experts of ${channels / experts} filters ${kernel}x${kernel}, ` +
      `${patch}x${patch} patches, l of ${patches} kept) with a Conv2D of the same kernel and with the masked dense form.`,
    head: ['l', 'l/n', 'PatchMoE', 'quartiles', '/ Conv2D', 'masked', 'PatchMoE / masked'],
    rows,
    notes: [...convolutionNotes(setting, report), lineNote(lineOf(setting, report))],
  }
}

function convolutionNotes(setting: LayerSetting, report: ChildReport): string[] {
  const names = Object.keys(report.seconds).filter(name => name.startsWith('conv '))
  return names.map(name => {
    const time = summarize(secondsOf(report, name))
    const role = name === sameConv(setting) ? '' : ', which the network has in this place'
    return `Conv2D ${name.slice(5)}${role}: ${secondsText(time.median)} (${quartilesText(time)})`
  })
}

function lineNote({ slope, intercept, rSquared }: Line): string {
  return `straight line through the medians: ${secondsText(slope)} l + ${secondsText(intercept)}, R^2 = ${rSquared.toFixed(4)}`
}

function lineOf({ keeps }: LayerSetting, report: ChildReport): Line {
  return lineFit(
    keeps,
    keeps.map(keep => median(secondsOf(report, `moe ${keep}`))),
  )
}

function ratioTo(report: ChildReport, numerator: string, denominator: string): Summary {
  return summarize(pairRatios(secondsOf(report, numerator), secondsOf(report, denominator)))
}

function sameConv({ kernel }: LayerSetting): string {
  return `conv ${kernel}x${kernel}`
}

function patchesOf({ side, patch }: LayerSetting): number {
  return (side / patch) ** 2
}

function mapText({ side, channels, batch, patch }: LayerSetting): string {
  return `${side}x${side}x${channels} in ${patch}x${patch} patches, batch ${batch}`
}
