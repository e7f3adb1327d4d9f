import { escapeHtml } from './escape.js'
import { expertTitle, type NamedExpert } from './expert-title.js'
import { table } from './table.js'

/** What was measured of a routing, as a report shows it; shares in [0, 1], information in nats. */
export interface ReportedRouting {
  /** Name of the model. */
  readonly model: string
  readonly classNames: readonly string[]
  readonly images: number
  readonly patchesPerExpert: number
  /** Shares of all patches that no expert kept, exactly one did, several did. */
  readonly coverage: { readonly none: number; readonly one: number; readonly several: number }
  /** (K) */
  readonly gates: readonly {
    readonly mean: number
    readonly least: number
    readonly largest: number
    readonly largestShare: number
  }[]
  /** (K) which experts they are, where others were pruned. */
  readonly experts?: readonly NamedExpert[]
  /** Experts that keep the same patches of every image. */
  readonly fixedExperts: readonly number[]
  /** How well the experts find the patches that show the class; absent where these are not known. */
  readonly truth?: {
    /** (L) share of images of which an expert has a true patch among its r best. */
    readonly recall: readonly number[]
    /** (K, classes, L) the same for each expert and class. */
    readonly recallByExpert: readonly (readonly (readonly number[])[])[]
    /** (classes) the expert whose best patch is most often a true one, and how often. */
    readonly largestGate: readonly { readonly expert: number; readonly share: number }[]
    readonly dispatch: {
      /** (K, classes) share of each class among the true patches that an expert received. */
      readonly classShares: readonly (readonly number[])[]
      readonly entropy: number
      readonly mutualInformation: number
    }
    readonly deadExperts: readonly number[]
  }
}

/**
 * Tables of a routing as HTML: what each class's best expert does, and how each expert weighs its patches.
 *
 * @throws RangeError when the class names are not one for each class of the truth
 */
export function routingTables(routing: ReportedRouting): string {
  const { truth, classNames, model } = routing
  if (truth && truth.largestGate.length !== classNames.length) {
    throw new RangeError(
      `routingTables: classNames must be one for each of ${truth.largestGate.length} classes, got ${classNames.length}`,
    )
  }
  return `<h3>What the routers learned: ${escapeHtml(model)}</h3>
<p>${escapeHtml(sentences(routing).join(' '))}</p>
${truth ? classTable(routing, truth) : ''}
${expertTable(routing)}`
}

function sentences({
  images,
  coverage,
  patchesPerExpert,
  truth,
  fixedExperts,
  gates,
  experts,
}: ReportedRouting): string[] {
  const { none, one, several } = coverage
  const text = [
    `Over ${images} test images, ${percent(none)} of the patches are kept by no expert, ${percent(one)} by one and ${percent(several)} by several.`,
  ]
  if (fixedExperts.length > 0) {
    text.push(
      `${listed(fixedExperts.map(expert => expertTitle(experts?.[expert], expert)))} the same patches of every image, whatever it shows.`,
    )
  }
  if (!truth) return text
  const { recall, dispatch, deadExperts } = truth
  text.push(
    `The patch that shows the class is among the ${patchesPerExpert} best of an expert in ${percent(recall.at(-1)!)} of the images.`,
  )
  if (!Number.isNaN(dispatch.entropy)) {
    const whole = dispatch.entropy + dispatch.mutualInformation
    text.push(
      `Knowing which expert it went to tells ${dispatch.mutualInformation.toFixed(3)} of the class's ${whole.toFixed(3)} nats.`,
    )
  }
  if (deadExperts.length > 0) {
    text.push(`${deadExperts.length} of ${gates.length} experts never receive it.`)
  }
  return text
}

function classTable(
  { classNames, experts }: ReportedRouting,
  truth: NonNullable<ReportedRouting['truth']>,
): string {
  const rows = truth.largestGate.map(({ expert, share }, label) => [
    classNames[label]!,
    expertTitle(experts?.[expert], expert),
    percent(share),
    percent(truth.recallByExpert[expert]?.[label]?.at(-1) ?? Number.NaN),
  ])
  return table(
    ['Class', 'Its best expert', 'Gives the true patch its largest gate', 'Keeps the true patch'],
    rows,
  )
}

function expertTable({ gates, truth, classNames, experts }: ReportedRouting): string {
  const head = ['Expert', 'Mean gate', 'Smallest', 'Largest', "Largest gate's share"]
  const rows = gates.map(({ mean, least, largest, largestShare }, expert) => [
    expertTitle(experts?.[expert], expert),
    ...[mean, least, largest].map(gate => String(Number(gate.toPrecision(3)))),
    percent(largestShare),
    ...(truth?.dispatch.classShares[expert] ?? []).map(percent),
  ])
  return table(
    [...head, ...(truth ? classNames.map(name => `Class ${name} among what it receives`) : [])],
    rows,
  )
}

/** `Expert 2 keeps`, `Experts 2, 3 keep`. */
function listed(titles: readonly string[]): string {
  const names = titles.map(title => title.replace(/^expert /, '')).join(', ')
  return titles.length === 1 ? `Expert ${names} keeps` : `Experts ${names} keep`
}

function percent(share: number): string {
  return Number.isNaN(share) ? 'none' : `${(share * 100).toFixed(1)}%`
}
