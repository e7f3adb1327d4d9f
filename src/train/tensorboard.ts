import { PbfWriter } from 'pbf'
import { frameRecord } from '../data/formats/tfrecord.js'
import type { EpochMetrics } from './events.js'

/** One value of one curve. */
export interface ScalarPoint {
  /** Name of the curve; a part before `/` groups curves. */
  readonly tag: string
  readonly value: number
  /** Position on the horizontal axis. */
  readonly step: number
  /** Seconds since 1970. */
  readonly wallTime: number
}

/**
 * The name that TensorBoard looks for.
 *
 * @param wallTime seconds since 1970 at the start of the run
 * @param host the name of the machine or of the page
 */
export function eventFileName(wallTime: number, host: string): string {
  return `events.out.tfevents.${String(Math.floor(wallTime)).padStart(10, '0')}.${host}`
}

/** The bytes that an event file begins with: one event that names the version of the format. */
export function eventFileStart(wallTime: number): Uint8Array {
  const event = new PbfWriter()
  event.writeDoubleField(eventFields.wallTime, wallTime)
  event.writeStringField(eventFields.fileVersion, 'brain.Event:2')
  return frameRecord(event.finish())
}

/**
 * The bytes of scalar values, to be appended to an event file that begins with `eventFileStart`.
 *
 * Points that follow one another with the same step and time share an event.
 */
export function scalarEvents(points: readonly ScalarPoint[]): Uint8Array {
  const records: Uint8Array[] = []
  for (let first = 0; first < points.length; ) {
    const { step, wallTime } = points[first] as ScalarPoint
    const rest = points.slice(first).findIndex(point => point.step !== step || point.wallTime !== wallTime)
    const end = rest < 0 ? points.length : first + rest
    records.push(frameRecord(scalarEvent(points.slice(first, end), step, wallTime)))
    first = end
  }
  return concatenate(records)
}

/**
 * The curves of one epoch: loss and accuracy of training, validation and test, what routing measured, and the learning rate,
 * over the steps.
 *
 * @param wallTime seconds since 1970
 */
export function epochScalars(metrics: EpochMetrics, wallTime: number): ScalarPoint[] {
  const values = {
    'loss/train': metrics.trainLoss,
    'loss/validation': metrics.validationLoss,
    'loss/test': metrics.testLoss,
    'loss/balance': metrics.loadBalance,
    'loss/diversity': metrics.diversity,
    'accuracy/train': metrics.trainAccuracy,
    'accuracy/validation': metrics.validationAccuracy,
    'accuracy/test': metrics.testAccuracy,
    'accuracy/test worst group': metrics.testWorstGroup,
    'routing/true patch kept': metrics.routing?.trueKept,
    'routing/mutual information': metrics.routing?.mutualInformation,
    'routing/patches kept by none': metrics.routing?.uncovered,
    'routing/largest share of a gate': metrics.routing?.largestShare,
    'routing/dispatch entropy train': metrics.sampleRouting?.trainEntropy,
    'routing/dispatch entropy test': metrics.sampleRouting?.testEntropy,
    'routing/dead experts': metrics.sampleRouting?.deadExperts,
    'routing/negative gates': metrics.sampleRouting?.negativeGates,
    learning_rate: metrics.learningRate,
  }
  return Object.entries(values).flatMap(([tag, value]) =>
    value === undefined || value === null ? [] : [{ tag, value, step: metrics.steps, wallTime }],
  )
}

/** Numbers of the fields in TensorFlow's event.proto and summary.proto. */
const eventFields = { wallTime: 1, step: 2, fileVersion: 3, summary: 5 } as const
const summaryFields = { value: 1 } as const
const valueFields = { tag: 1, simpleValue: 2 } as const

function scalarEvent(points: readonly ScalarPoint[], step: number, wallTime: number): Uint8Array {
  const event = new PbfWriter()
  event.writeDoubleField(eventFields.wallTime, wallTime)
  event.writeVarintField(eventFields.step, step)
  event.writeMessage(eventFields.summary, writeSummary, points)
  return event.finish()
}

function writeSummary(points: readonly ScalarPoint[], writer: PbfWriter): void {
  for (const point of points) writer.writeMessage(summaryFields.value, writeValue, point)
}

function writeValue({ tag, value }: ScalarPoint, writer: PbfWriter): void {
  writer.writeStringField(valueFields.tag, tag)
  writer.writeFloatField(valueFields.simpleValue, value)
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}
