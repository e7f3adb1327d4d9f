import { join } from 'node:path'
import { shellCommand } from '../../src/cluster/shell-command.js'
import { writeFilesAtomic } from '../../src/files/atomic.js'
import { makeFolder } from '../../src/files/folders.js'
import { figurePng } from '../../src/files/images/figure-png.js'
import { chartSvg } from '../../src/report/charts.js'
import type { RoutedImage } from '../../src/report/routing-figure.js'
import { markdownTable, type StudyPage, studyPageHtml } from '../../src/report/study-page.js'
import type { Experiment } from '../experiments/experiment.js'
import { duration } from '../terminal/training-log.js'
import { type Cell, cellText } from './cell.js'
import type { CellResult } from './cell-result.js'
import { studyKind } from './kinds/kinds.js'
import type { KindReport } from './kinds/study-kind.js'
import type { PeerResult } from './peer-result.js'
import { type StudyConfig, studyCells } from './study-config.js'
import { reportFiles, type StudyFolder } from './study-folder.js'

/** What a study has found so far, in numbers and words. */
export interface StudyReport extends KindReport {
  readonly experiment: Experiment
  /** How far the study has come, where it has not ended; a sentence each. */
  readonly progress: readonly string[]
}

/** Computes the report of a study from the results that it has so far. */
export function studyReport(
  config: StudyConfig,
  cells: readonly Cell[],
  results: ReadonlyMap<number, CellResult>,
  peers: readonly PeerResult[] = [],
): StudyReport {
  const { kind, experiment } = studyKind(config)
  return {
    experiment,
    ...kind.report(experiment, config.grid, results, peers),
    progress: progressSentences(cells, results),
  }
}

function progressSentences(cells: readonly Cell[], results: ReadonlyMap<number, CellResult>): string[] {
  const left = cells.length - results.size
  const failed = [...results.values()].filter(({ status }) => status === 'failed')
  const list = failed.slice(0, 5).map(result => {
    const message = result.status === 'failed' ? `${result.reason}, ${result.message}` : ''
    return `Cell ${result.cell.index} (${cellText(result.cell)}) failed: ${message}`
  })
  return [
    left > 0 ? `${results.size} of ${cells.length} runs have ended; the numbers are those of these.` : '',
    failed.length > 0 ? `${failed.length} runs failed and do not count.` : '',
    ...list,
  ].filter(sentence => sentence !== '')
}

/** The sentence that says what a study was trained on. */
export function dataSentence(config: StudyConfig): string {
  const { kind, experiment } = studyKind(config)
  return kind.dataSentence(experiment, config)
}

/** The command that runs a study again, with everything that decides its numbers. */
export function studyCommand({
  experiment,
  scale,
  seeds,
  data,
  standIn,
  network,
  sharedSubset,
  backend,
}: StudyConfig): string {
  return shellCommand([
    'pmoe',
    'study',
    experiment,
    '--scale',
    scale,
    '--seeds',
    String(seeds),
    ...(data === null ? [] : ['--data', 'DIR']),
    ...(standIn === null ? [] : ['--stand-in', 'DIR']),
    ...(network === undefined ? [] : ['--network', 'DIR']),
    ...(sharedSubset ? ['--shared-subset'] : []),
    '--backend',
    backend,
  ])
}

/**
 * Writes the report of a study into a folder: page, figure, table, and every number.
 *
 * @param directory that of the study, or another one; it is made where it does not exist
 * @param options.page whether the page is written too
 * @returns the paths that were written
 */
export async function writeStudyReport(
  folder: StudyFolder,
  directory: string,
  { page = true }: { readonly page?: boolean } = {},
): Promise<string[]> {
  const { config } = folder
  const cells = studyCells(config)
  const results = await folder.results(cells)
  const report = studyReport(config, cells, results, await folder.peers())
  const svg = report.spec && (await chartSvg(report.spec))
  const files: [string, string | Uint8Array][] = [
    [reportFiles.results, resultsJson(config, report, results)],
    [reportFiles.table, tableMarkdown(config, report)],
  ]
  if (svg !== undefined) {
    files.push([reportFiles.svg, svg], [reportFiles.png, await figurePng(svg)])
  }
  if (page) {
    const pictures = await picturesOf(folder, cells)
    files.push([reportFiles.page, studyPageHtml(pageOf(config, report, results, pictures, svg))])
  }
  await makeFolder(directory)
  const paths = files.map(([name, content]) => [join(directory, name), content] as const)
  await writeFilesAtomic(paths)
  return paths.map(([path]) => path)
}

/** Rounds to six significant digits: more carry no information and make files large. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value
}

function resultsJson(
  config: StudyConfig,
  { experiment, summary, findings, brief }: StudyReport,
  results: ReadonlyMap<number, CellResult>,
): string {
  const { data, standIn, network, ...settings } = config
  const planned = studyCells(config).length
  const whole = {
    title: experiment.title,
    paper: experiment.paper,
    claim: experiment.claim,
    data: dataSentence(config),
    isStandIn: studyKind(config).kind.isStandIn(config),
    command: studyCommand(config),
    findings,
    brief,
    // Paths of this machine mean nothing on another one.
    settings: {
      ...settings,
      data: data !== null,
      standIn: standIn !== null,
      ...(network !== undefined && { network: true }),
    },
    // Where some have not ended yet.
    ...(results.size < planned && { planned }),
    summary,
  }
  const cells = [...results.values()].map(result => JSON.stringify(result, rounded))
  const head = JSON.stringify(whole, rounded, 1)
  return `${head.slice(0, -2)},\n "cells": [\n${cells.join(',\n')}\n ]\n}\n`
}

function tableMarkdown(config: StudyConfig, report: StudyReport): string {
  const { experiment, findings, tables, progress } = report
  const parts = [
    `# ${experiment.name}: ${experiment.title}`,
    `${experiment.paper}.`,
    `The claim: ${experiment.claim}`,
    `What was found: ${findings.join(' ')}`,
    dataSentence(config),
    ...progress,
    ...tables.flatMap(table => [
      `## ${table.title}`,
      markdownTable(table),
      ...(table.note === undefined ? [] : [table.note]),
    ]),
    `\`${studyCommand(config)}\``,
  ]
  return `${parts.join('\n\n')}\n`
}

function pageOf(
  config: StudyConfig,
  { experiment, findings, tables, progress }: StudyReport,
  results: ReadonlyMap<number, CellResult>,
  pictures: StudyPage['pictures'],
  svg: string | undefined,
): StudyPage {
  const took = [...results.values()].reduce((sum, result) => sum + result.took, 0)
  const { versions, scale, seeds, backend, sharedSubset } = config
  return {
    title: `${experiment.name}: ${experiment.title}`,
    paper: experiment.paper,
    claim: experiment.claim,
    findings,
    data: dataSentence(config),
    progress,
    ...(svg !== undefined && { figure: { svg, label: `${experiment.title}. ${findings.join(' ')}` } }),
    tables,
    pictures,
    settings: [
      ['Scale', scale],
      ['Seeds', String(seeds)],
      ['Training images', sharedSubset ? 'the same for all seeds' : 'drawn anew for each seed'],
      ['Backend', versions.tensorflow ? `${backend}, TensorFlow ${versions.tensorflow}` : backend],
      ['Runs', `${results.size}, together ${duration(took)}`],
      ...studyKind(config).kind.commonSettings(config.grid),
      ['patch-moe', versions.patchMoe],
      ['Node', versions.node],
    ],
    command: studyCommand(config),
  }
}

async function picturesOf(folder: StudyFolder, cells: readonly Cell[]): Promise<StudyPage['pictures']> {
  const { kind } = studyKind(folder.config)
  const shown: { name: string; images: readonly RoutedImage[] }[] = []
  for (const cell of cells.filter(candidate => kind.isShown?.(folder.config.grid, candidate))) {
    const images = (await folder.pictures(cell.index)) as readonly RoutedImage[] | undefined
    if (images) shown.push({ name: cellText(cell), images })
  }
  return shown
}
