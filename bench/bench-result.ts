import type { ChildReport } from '../scripts/run/measuring/child-report.js'
import type { Machine } from '../scripts/run/measuring/machine.js'
import type { MeasuredTargets } from './targets.js'

/** The workloads, by the letters that `--only` takes. */
export const letters = [
  'a',
  'b',
  'c',
  'd',
  'e',
  'f',
  'g',
  'h',
  'i',
  'j',
  'k',
  'l',
  'm',
  'n',
  'p',
  'q',
  'r',
  't',
] as const

/** A workload. */
export type Letter = (typeof letters)[number]

/** One table of results, as text. */
export interface Table {
  readonly letter: Letter
  readonly title: string
  /** What it compares, in one sentence. */
  readonly sentence: string
  readonly head: readonly string[]
  /** Each has as many cells as the head. */
  readonly rows: readonly (readonly string[])[]
  /** Sentences below the table. */
  readonly notes?: readonly string[]
}

/** What one section of the benchmark found. */
export interface SectionResult {
  readonly tables: readonly Table[]
  readonly measured: MeasuredTargets
  /** Reports of every measuring process, by its name, in the order of the rounds. */
  readonly reports: Readonly<Record<string, readonly ChildReport[]>>
  /** Why something could not be measured, one sentence each. */
  readonly failures: readonly string[]
}

/** Everything that a run of the benchmark found. */
export interface BenchResult extends SectionResult {
  /** The command line, without paths. */
  readonly command: string
  readonly machine: Machine
}

/** Joins what sections found. */
export function joinSections(sections: readonly SectionResult[]): SectionResult {
  return {
    tables: sections.flatMap(({ tables }) => tables),
    measured: Object.assign({}, ...sections.map(({ measured }) => measured)),
    reports: Object.assign({}, ...sections.map(({ reports }) => reports)),
    failures: sections.flatMap(({ failures }) => failures),
  }
}
