import { BOUND_NOTE } from '../../src/theory/moe-bound.js'
import type { PmoeTheory } from '../../src/theory/pmoe-theory.js'
import { textTable } from '../terminal/text-table.js'
import { wrappedText } from '../terminal/wrapped-text.js'
import type { MeasuredBound, MixtureBound } from './measured-bound.js'

/** A measured bound and what it was measured with. */
export interface JudgedRun {
  readonly directory: string
  /** Name of the network. */
  readonly model: string
  readonly backend: string
  readonly delta: number
  readonly margin: number
  readonly measured: MeasuredBound
}

const OUTSIDE =
  'outside the theorem: experts choose patches, the theorem is about items that choose experts; ' +
  'its terms are shown with k of T read as K of K'

/** What must be said of a mixture before its numbers, a sentence each. */
export function cautions(
  { mixture, bound, statistics, complexity }: MixtureBound,
  numClasses: number,
): string[] {
  const { chooses, network, router, experts, active } = mixture
  return [
    ...(bound.vacuous ? [vacuousSentence(bound.bound)] : []),
    ...(chooses === 'patches' ? [OUTSIDE] : []),
    ...(numClasses > 2
      ? [
          `outside the theorem: it is of two classes, and the model tells ${numClasses} apart; margins are to the best other class`,
        ]
      : []),
    ...(typeof network === 'string' ? [`the expert term is not part of the bound: ${network}`] : []),
    ...(mixture.slopeOfData
      ? [
          `the slope of the experts' activation is unbounded: the largest one met on the training data is taken, ${short(statistics.slope)}`,
        ]
      : []),
    ...(complexity && complexity.gateFactor > 1
      ? [
          `gates are no shares: the largest sum of an item's gates, ${short(complexity.gateFactor)}, multiplies the expert term`,
        ]
      : []),
    ...(router ? [] : ['one expert: there is nothing to choose, and d_N is 0']),
    ...(router && experts === active && chooses === 'items'
      ? ['all experts are active: there is one mask, which exactRouterTerm counts']
      : []),
    ...placeSentences(mixture),
  ]
}

/** What of the model is not judged. */
function placeSentences({ readsFeatures, hasTail }: MixtureBound['mixture']): string[] {
  return [
    ...(readsFeatures
      ? [
          'the mixture is judged given the features of the layers before it, on which all numbers are computed; that these were trained on the same images is not counted',
        ]
      : []),
    ...(hasTail
      ? ['layers after the mixture are not counted; the measured losses are those of the whole model']
      : []),
  ]
}

function vacuousSentence(bound: number): string {
  return `vacuous: the bound is ${short(bound)} >= 1, and a loss in [0,1] is never more than 1; only the ranking over T, k, m says anything`
}

/** A measured bound as one object of JSON. */
export function boundJson({ directory, model, backend, delta, margin, measured }: JudgedRun) {
  const { train, test, mixtures, numClasses } = measured
  return {
    run: directory,
    model,
    backend,
    note: BOUND_NOTE,
    delta,
    margin,
    lipschitz: 1 / margin,
    classes: numClasses,
    measured: { train, test, testMinusTraining: gapOf(measured) },
    mixtures: mixtures.map(judged => {
      const { mixture, routerDimension, bound, complexity, statistics, theory } = judged
      const { path, className, chooses, experts, active, norms } = mixture
      const { expertTerm, ...terms } = bound
      return {
        layer: path,
        className,
        insideTheorem: chooses === 'items' && numClasses === 2,
        cautions: cautions(judged, numClasses),
        experts,
        active,
        samples: train.count,
        routerDimension,
        expertTerm: complexity ? expertTerm : null,
        ...terms,
        ...(complexity && { complexity }),
        dataNorm: Math.sqrt(statistics.squares),
        ...(mixture.slopeOfData && { largestSlope: statistics.slope }),
        perExpert: norms.map((expert, i) => ({ expert: mixture.expertNames?.[i] ?? String(i), ...expert })),
        ...(theory && { theory }),
      }
    }),
  }
}

/** By how much losses on the test half exceed those on the training half. */
export function gapOf({ train, test }: MeasuredBound) {
  return { ramp: test.ramp - train.ramp, zeroOne: test.zeroOne - train.zeroOne }
}

/**
 * A measured bound as text for a person: what must be said first, the terms, what was measured, and the norms.
 *
 * @param columns of the terminal
 */
export function boundText(judged: JudgedRun, columns = Infinity): string {
  const { measured, delta, margin } = judged
  const parts = [
    ...measured.mixtures.flatMap(mixture => mixtureParts(mixture, judged, columns)),
    textTable(['measured', 'training', 'test', 'test minus training'], lossRows(measured, margin), columns),
    wrappedText(
      `Bounds: ${BOUND_NOTE}. With probability ${1 - delta} (delta ${delta}), for the ramp loss of margin ${margin}, which is ${short(1 / margin)}-Lipschitz.`,
      columns,
    ),
  ]
  return parts.join('\n\n')
}

function mixtureParts(
  judged: MixtureBound,
  { directory, model, backend, measured }: JudgedRun,
  columns: number,
) {
  const { mixture, routerDimension, bound, theory } = judged
  const { path, className, experts, active, norms, router, chooses } = mixture
  const said = cautions(judged, measured.numClasses)
  const chosen = chooses === 'items' ? `k = ${active} of T = ${experts} experts` : `K = ${experts} experts`
  const lines = [
    `${model} of ${directory}: ${className} ${path}, ${chosen}, m = ${count(measured.train.count)} training items (backend ${backend})`,
    router &&
      `d_N is at most ${count(routerDimension)}: a linear router of ${count(router.inputs)} inputs and ${experts} experts${router.bias ? ', with biases' : ''}`,
    `the router term is below 1 from m = ${count(bound.samplesForRouterTermBelowOne)} on`,
  ]
  return [
    said.length > 0 && said.map(sentence => wrappedText(sentence, columns)).join('\n'),
    wrappedText(lines.filter(Boolean).join('\n'), columns),
    textTable(['term', 'value'], termRows(judged), columns),
    norms.length > 0 && textTable(['expert', 'spectral norm', '(2,1) norm'], normRows(mixture), columns),
    theory && theoryText(theory, columns),
  ].filter(part => typeof part === 'string')
}

function termRows({ bound, complexity }: MixtureBound): string[][] {
  return [
    ['bound', short(bound.bound)],
    ['expert term, 4 C R_m', complexity ? short(bound.expertTerm) : 'not stated'],
    ...(complexity
      ? [[`R_m of one expert${complexity.trivial ? ', its range' : ''}`, short(complexity.complexity)]]
      : []),
    ['router term', short(bound.routerTerm)],
    ['router term, masks counted', short(bound.exactRouterTerm)],
    ['sqrt(k (1 + ln(T/k)) / m)', short(bound.sparsity)],
  ]
}

function normRows({ norms, expertNames }: MixtureBound['mixture']): string[][] {
  const largest = Math.max(...norms.map(({ spectralNorm }) => spectralNorm))
  return norms.map(({ spectralNorm, norm21 }, i) => [
    `${expertNames?.[i] ?? i}${spectralNorm === largest ? ' (largest)' : ''}`,
    short(spectralNorm),
    short(norm21),
  ])
}

function lossRows(measured: MeasuredBound, margin: number): string[][] {
  const { train, test } = measured
  const gap = gapOf(measured)
  return [
    [`ramp loss, margin ${margin}`, train.ramp.toFixed(4), test.ramp.toFixed(4), signed(gap.ramp)],
    ['0-1 loss', train.zeroOne.toFixed(4), test.zeroOne.toFixed(4), signed(gap.zeroOne)],
  ]
}

const THEORY_ROWS = {
  samples: 'samples',
  neurons: 'neurons',
  iterations: 'iterations',
  work: 'work until convergence',
  errorAtFixedSamples: 'error at equal samples',
} as const

function theoryText(theory: PmoeTheory, columns: number): string {
  const rows = (Object.keys(THEORY_ROWS) as (keyof PmoeTheory)[]).map(name => [
    THEORY_ROWS[name],
    short(theory[name].separateOverCnn),
    short(theory[name].jointOverCnn),
  ])
  return [
    textTable(['theory of pMoE, ratio to the CNN', 'separate', 'joint'], rows, columns),
    wrappedText(
      'Ratios of orders with unknown constants: above 1 the theory promises nothing. They need that each expert keeps at least l* patches; joint training also Assumption 4.4.',
      columns,
    ),
  ].join('\n')
}

/** Four significant digits, without an exponent while that is readable. */
function short(value: number): string {
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2)
  return size >= 1000 ? count(Math.round(value)) : String(Number(value.toPrecision(4)))
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(4)}`
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
