import type { ClassScore } from '../statistics/class-scores.js'
import type { ClassificationReport, ReportedClass } from '../statistics/classification-report.js'
import type { DecisionThreshold } from '../statistics/decision-threshold.js'
import { confusionFigure, confusionMatrix, confusionStyle } from './confusion-figure.js'
import { escapeHtml } from './escape.js'
import { type EstimateForm, intervalText, type ReportedEstimate, valueText } from './estimate-text.js'
import { pageHtml, provenanceHtml } from './page.js'
import { reliabilityFigure, reliabilityStyle } from './reliability-figure.js'
import { type ReportedRocCurve, rocFigure, rocStyle } from './roc-figure.js'
import { table } from './table.js'

/** The thresholds of the classes, and what they give. */
export interface ReportedThresholds {
  /** What each threshold is to reach: `the best F1`. */
  readonly goal: string
  /** The images that they were chosen on: `40 validation images of plants`. */
  readonly chosenOn: string
  /** One a class; absent where none reaches the goal, or the class has no images there. */
  readonly classes: readonly (
    | {
        /** On the images that it was chosen on. */
        readonly chosen: DecisionThreshold
        /** On the images that are evaluated. */
        readonly measured: ClassScore
      }
    | undefined
  )[]
}

/** The probabilities scaled by a temperature. */
export interface ReportedTemperature {
  readonly temperature: number
  /** The images that it was fitted on. */
  readonly fittedOn: string
  /** What is measured of the scaled probabilities. */
  readonly scaled: Pick<ClassificationReport, 'logLoss' | 'brier' | 'calibration'>
}

/** What one expert of a layer does on some images, as `measureMixtures` of training measures it. */
export interface ReportedExpert {
  /** Root of the mean square of what it adds to the output of its layer. */
  readonly answer: number
  /** Variance of the patches that it keeps, as a share of that of all patches. */
  readonly view: number
  /** How many of all patches, and of the kept ones, have weight: exp(entropy). */
  readonly scoredPatches: number
  readonly gatedPatches: number
  /** Share of the softmax of all scores that the kept patches have, in [0, 1]. */
  readonly keptShare: number
}

/** What a layer whose experts choose patches does on some images. */
export interface ReportedMixture {
  readonly layer: string
  /** N and L. */
  readonly patches: number
  readonly patchesPerExpert: number
  /** Images that were looked at. */
  readonly images: number
  readonly experts: readonly ReportedExpert[]
  /** Of two experts the mean share of kept patches that both keep, and how much what they add differs. */
  readonly pairs: readonly {
    readonly experts: readonly [number, number]
    readonly samePatches: number
    readonly difference: number
  }[]
}

/** An image that was classified wrongly. */
export interface WrongImage {
  readonly name: string
  /** The picture as a data URI. */
  readonly uri: string
  /** Its longer side, in pixels. */
  readonly side: number
  readonly trueClass: string
  readonly predictedClass: string
  /** Probabilities of the two, in [0, 1]. */
  readonly trueProbability: number
  readonly predictedProbability: number
}

/** Everything that the page of an evaluation shows. */
export interface EvaluationPage {
  readonly title: string
  /** One or two sentences of plain text under the title. */
  readonly summary: string
  readonly classNames: readonly string[]
  readonly report: ClassificationReport
  readonly thresholds?: ReportedThresholds
  readonly temperature?: ReportedTemperature
  /** One for each class that has one, or the most telling ones of many. */
  readonly curves: readonly ReportedRocCurve[]
  /** The layers whose experts choose patches. */
  readonly mixtures: readonly ReportedMixture[]
  /** What is wrong with them, and what can be done. */
  readonly remarks: readonly string[]
  /** The most wrong images, the worst first. */
  readonly wrong: readonly WrongImage[]
  /** What was found and left out, a sentence each. */
  readonly notes: readonly string[]
  readonly settings: readonly (readonly [name: string, value: string])[]
  readonly command: string
}

/** Classes that a table shows at most. */
export const MOST_ROWS = 20

/** Smaller images are enlarged with their pixels as squares. */
const SMALL_PX = 64

/** Writes the page of an evaluation: self-contained, light and dark. */
export function evaluationPage(page: EvaluationPage): string {
  const { report, classNames, thresholds, temperature, wrong, notes, settings, command } = page
  const { curves, mixtures, remarks } = page
  const sections = [
    scoresSection(report, notes),
    classesSection(report, classNames),
    confusionsSection(report, classNames),
    ...(curves.length > 0 ? [curvesSection(curves)] : []),
    calibrationSection(report, temperature),
    ...(thresholds ? [thresholdsSection(thresholds, classNames)] : []),
    ...(mixtures.length > 0 ? [mixturesSection(mixtures, remarks)] : []),
    ...(wrong.length > 0 ? [wrongSection(wrong, report)] : []),
    provenanceHtml(settings, command),
  ]
  return pageHtml({
    title: page.title,
    summary: page.summary,
    sections,
    style: `${confusionStyle}${rocStyle}${reliabilityStyle}${style}`,
  })
}

const style = `.wrongs{display:grid;grid-template-columns:repeat(auto-fill,minmax(132px,1fr));gap:18px 16px}
.wrongs figure{min-width:0}.wrongs img{display:block;width:100%;aspect-ratio:1;object-fit:contain;background:var(--page);outline:1px solid var(--line);image-rendering:auto}
.wrongs img.small{image-rendering:pixelated}
.wrongs figcaption{font-size:.82rem;line-height:1.35;margin-top:6px;overflow-wrap:anywhere}
.matrix{overflow-x:auto;margin:16px 0}
.pair{display:flex;flex-wrap:wrap;gap:20px 40px;margin:16px 0}.pair figcaption{font-size:.9rem;color:var(--quiet);margin-bottom:6px}
.columns{display:flex;flex-wrap:wrap;gap:0 48px}.columns>*{min-width:0}
@media (max-width:520px){tbody th{white-space:normal;min-width:92px}}`

/** One line of the table of scores. */
type ScoreRow = readonly [name: string, estimate: ReportedEstimate, form: EstimateForm]

/** The scores over all classes, in the order in which they are shown. */
export function scoreRows({
  accuracy,
  macro,
  weighted,
  logLoss,
  brier,
  calibration,
}: Pick<
  ClassificationReport,
  'accuracy' | 'macro' | 'weighted' | 'logLoss' | 'brier' | 'calibration'
>): ScoreRow[] {
  return [
    ['accuracy', accuracy, 'percent'],
    ['precision, mean of the classes', macro.precision, 'percent'],
    ['recall, mean of the classes', macro.recall, 'percent'],
    ['F1, mean of the classes', macro.f1, 'percent'],
    ['F1, weighted by images', weighted.f1, 'percent'],
    ['ROC area, mean of the classes', macro.rocArea, 'number'],
    ['average precision, mean of the classes', macro.averagePrecision, 'number'],
    ['log loss, nats', logLoss, 'number'],
    ['Brier score, 0 to 2', brier, 'number'],
    ['calibration error', calibration.error, 'percent'],
  ]
}

function scoresSection(report: ClassificationReport, notes: readonly string[]): string {
  const rows = scoreRows(report).map(([name, estimate, form]) => [
    name,
    valueText(estimate.value, form),
    intervalText(estimate, form),
  ])
  return `<section>
<h2>Scores</h2>
${table(['', 'Value', '95% interval'], rows)}
<p class="quiet">Intervals say how much other images of the same kind could change a value: Wilson's for the accuracy, the bootstrap over the images for the others. A class for which a value is not defined is left out of its mean.</p>
${notes.length > 0 ? `<h3>Notes</h3>\n${notes.map(note => `<p>${escapeHtml(note)}</p>`).join('\n')}` : ''}
</section>`
}

/** The classes that a table shows: all of them, or those of the lowest F1. */
export function shownClasses(
  classes: readonly ReportedClass[],
  most = MOST_ROWS,
): readonly (readonly [label: number, score: ReportedClass])[] {
  const all = [...classes.entries()]
  if (all.length <= most) return all
  const rank = ({ f1 }: ReportedClass) => (Number.isNaN(f1) ? Infinity : f1)
  return all.sort(([a, x], [b, y]) => rank(x) - rank(y) || a - b).slice(0, most)
}

/** The cells of a class in a table: precision, recall, F1, ROC area, average precision. */
export function scoreCells({
  precision,
  recall,
  f1,
  rocArea,
  averagePrecision,
}: Pick<ReportedClass, 'precision' | 'recall' | 'f1' | 'rocArea' | 'averagePrecision'>): string[] {
  return [
    ...[precision, recall, f1].map(value => valueText(value, 'percent')),
    ...[rocArea, averagePrecision].map(value => valueText(value, 'number')),
  ]
}

function classesSection({ classes }: ClassificationReport, classNames: readonly string[]): string {
  const shown = shownClasses(classes)
  const rows = shown.map(([label, score]) => [
    nameOf(classNames, label),
    String(score.count),
    ...scoreCells(score),
    intervalText({ ...(score.recallInterval && { interval: score.recallInterval }) }, 'percent'),
  ])
  const fewer =
    shown.length < classes.length
      ? `<p>The ${shown.length} of ${classes.length} classes with the lowest F1; all of them are in classes.csv.</p>`
      : ''
  return `<section>
<h2>Classes</h2>
${fewer}${table(['Class', 'Images', 'Precision', 'Recall', 'F1', 'ROC area', 'Average precision', '95% interval of the recall'], rows)}
<p class="quiet">Precision: of the images taken for the class, how many are of it. Recall: of the images of the class, how many were found. ROC area and average precision: how well the probability of the class tells its images from the rest, at any threshold. A dash stands for what has no value, such as the recall of a class without images.</p>
</section>`
}

function confusionsSection({ confusions }: ClassificationReport, classNames: readonly string[]): string {
  const matrix = confusionMatrix(classNames, confusions)
  const wrong = mostFrequent(confusions)
  const rows = wrong.map(({ label, predicted, count }) => [
    nameOf(classNames, label),
    nameOf(classNames, predicted),
    String(count),
  ])
  const fewer =
    matrix.others > 0
      ? `<p>The ${matrix.names.length - 1} of ${classNames.length} classes that are confused most; confusions.csv has all.</p>`
      : ''
  const width = 110 + matrix.names.length * 34
  return `<section>
<h2>Confusion matrix</h2>
${fewer}<div class="columns"><figure class="matrix" style="max-width:${width + 60}px"><div style="min-width:${Math.min(width, 110 + matrix.names.length * 20)}px">${confusionFigure(matrix)}</div></figure>
${rows.length > 0 ? `<div><h3>Most frequent</h3>${table(['Class', 'Taken for', 'Images'], rows)}</div>` : '<p>No image was taken for another class.</p>'}</div>
</section>`
}

/** The most frequent confusions of two different classes. */
export function mostFrequent(
  confusions: ClassificationReport['confusions'],
  most = 8,
): ClassificationReport['confusions'] {
  return confusions
    .filter(({ label, predicted }) => label !== predicted)
    .sort((a, b) => b.count - a.count)
    .slice(0, most)
}

function curvesSection(curves: readonly ReportedRocCurve[]): string {
  return `<section>
<h2>ROC curves</h2>
<p>Where a class is asked for alone, at each threshold: the share of its images that is found against the share of the others that is taken for it. The area is 1 where the probability tells them apart, 1/2 on the dashed line, where it says nothing.</p>
<div class="rocs">
${curves.map(curve => rocFigure(curve)).join('\n')}
</div>
</section>`
}

function mixturesSection(mixtures: readonly ReportedMixture[], remarks: readonly string[]): string {
  const nothing = remarks.length === 0 ? '<p>Nothing looks wrong with them.</p>' : ''
  return `<section>
<h2>Experts</h2>
${nothing}${remarks.map(remark => `<p>${escapeHtml(remark)}</p>`).join('\n')}
${mixtures.map(mixtureTable).join('\n')}
<p class="quiet">Adds: the size of what an expert adds to the output, as a share of the largest. Variety: how much the patches that it keeps vary, as a share of all patches. Weight kept: the share of its router's softmax over all patches that lies on those it keeps. Softmax on, gates on: on how many patches they lie. In common: the share of its patches that another expert keeps as well, of the one most like it.</p>
</section>`
}

function mixtureTable({ layer, patches, patchesPerExpert, images, experts, pairs }: ReportedMixture): string {
  const largest = Math.max(...experts.map(({ answer }) => answer))
  const rows = experts.map(({ answer, view, keptShare, scoredPatches, gatedPatches }, expert) => {
    const others = pairs.filter(pair => pair.experts.includes(expert))
    const common = Math.max(...others.map(({ samePatches }) => samePatches))
    return [
      String(expert),
      valueText(largest > 0 ? answer / largest : 0, 'percent'),
      valueText(view, 'percent'),
      valueText(keptShare, 'percent'),
      scoredPatches.toFixed(1),
      gatedPatches.toFixed(1),
      others.length > 0 ? valueText(common, 'percent') : '-',
    ]
  })
  return `<h3>${escapeHtml(layer)}: ${patchesPerExpert} of ${patches} patches, on ${images} image${images === 1 ? '' : 's'}</h3>
${table(['Expert', 'Adds', 'Variety', 'Weight kept', 'Softmax on', 'Gates on', 'In common'], rows)}`
}

function calibrationSection(
  { calibration, count }: ClassificationReport,
  temperature: ReportedTemperature | undefined,
): string {
  const figure = (bins: typeof calibration.bins, caption: string) =>
    `<figure class="reliability"><figcaption>${escapeHtml(caption)}</figcaption>${reliabilityFigure(bins, `reliability diagram, ${caption}`)}</figure>`
  const error = valueText(calibration.error.value, 'percent')
  const before = figure(calibration.bins, `as predicted: calibration error ${error}`)
  const after = temperature
    ? figure(
        temperature.scaled.calibration.bins,
        `at temperature ${temperature.temperature.toFixed(2)}: calibration error ${valueText(temperature.scaled.calibration.error.value, 'percent')}`,
      )
    : ''
  const fitted = temperature
    ? `<p>The temperature was fitted on ${escapeHtml(temperature.fittedOn)}. It changes no class, only how sure the model is: log loss ${valueText(temperature.scaled.logLoss.value, 'number')}, Brier score ${valueText(temperature.scaled.brier.value, 'number')}.</p>`
    : ''
  return `<section>
<h2>Calibration</h2>
<p>Of predictions made with a confidence of 80%, 80% should be right. The thick line of a bar is the share that is right, orange the distance to the mean confidence. The calibration error is the mean difference over the ${count} images in ${calibration.bins.length} bins of equal width; with few images it is above 0 even for right probabilities.</p>
<div class="pair">${before}${after}</div>
${fitted}</section>`
}

function thresholdsSection(
  { goal, chosenOn, classes }: ReportedThresholds,
  classNames: readonly string[],
): string {
  const chosen = [...classes.entries()]
  const shown = chosen.slice(0, MOST_ROWS)
  const rows = shown.map(([label, entry]) => [
    nameOf(classNames, label),
    ...(entry
      ? [
          entry.chosen.threshold.toPrecision(3),
          ...[entry.measured.precision, entry.measured.recall, entry.measured.f1].map(value =>
            valueText(value, 'percent'),
          ),
        ]
      : ['-', '-', '-', '-']),
  ])
  const fewer =
    shown.length < chosen.length
      ? ` The first ${shown.length} of ${chosen.length} classes; classes.csv has all.`
      : ''
  return `<section>
<h2>Thresholds</h2>
<p>Where a class is asked for alone: from which probability on to say yes, chosen for ${escapeHtml(goal)} on ${escapeHtml(chosenOn)}, and what that gives on the images of this page.${fewer}</p>
${table(['Class', 'Threshold', 'Precision', 'Recall', 'F1'], rows)}
</section>`
}

function wrongSection(wrong: readonly WrongImage[], { accuracy, count }: ClassificationReport): string {
  const total = Math.round((1 - accuracy.value) * count)
  const heading =
    total > wrong.length ? `The ${wrong.length} most wrong of ${total} wrong` : `The ${total} wrong`
  return `<section>
<h2>${heading} ${total === 1 ? 'image' : 'images'}</h2>
<p>Those whose class was given the lowest probability come first: often the label is wrong, or the image shows several things.</p>
<div class="wrongs">
${wrong.map(wrongFigure).join('\n')}
</div>
</section>`
}

function wrongFigure(image: WrongImage): string {
  const { uri, side, trueClass, predictedClass, name } = image
  const alt = `${name}, of class ${trueClass}, taken for ${predictedClass}`
  return (
    `<figure><img${side < SMALL_PX ? ' class="small"' : ''} src="${escapeHtml(uri)}" alt="${escapeHtml(alt)}" title="${escapeHtml(name)}">` +
    `<figcaption><span class="wrong">${escapeHtml(predictedClass)}</span> ${valueText(image.predictedProbability, 'percent')}<br>` +
    `is ${escapeHtml(trueClass)} ${valueText(image.trueProbability, 'percent')}<br>` +
    `<span class="quiet">${escapeHtml(lastPart(name))}</span></figcaption></figure>`
  )
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

function nameOf(classNames: readonly string[], label: number): string {
  return classNames[label] ?? String(label)
}
