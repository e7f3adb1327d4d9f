import { Command, Option } from 'commander'
import { LAYOUTS, PIXELS } from '../../../src/export/feeding.js'
import { QUANTIZATIONS } from '../../run/export-formats/export-format.js'
import {
  type ExportFormatTable,
  exportFormat,
  exportFormats,
  formatNames,
} from '../../run/export-formats/export-formats.js'
import { backendOption, plainModelOptions } from '../train.js'
import type { ExportRequest } from './export-action.js'

/**
 * The command `pmoe export`.
 *
 * @param table the formats that can be asked for
 */
export function exportCommand(table: ExportFormatTable = exportFormats): Command {
  const withFeeding = formatNames(table, ({ takesFeeding }) => takesFeeding)
  const [classNames, inputScaling] = plainModelOptions()
  return new Command('export')
    .description('write a trained model for other programs, and check the result by running it')
    .argument('<model>', 'folder of a run, or of a saved tfjs LayersModel (model.json)')
    .addOption(
      new Option('--format <name>', `what to write: ${outputsText(table)}`)
        .choices(formatNames(table))
        .makeOptionMandatory(),
    )
    .requiredOption('--out <path>', 'the file or folder to write')
    .addOption(
      new Option('--layout <order>', `axes of images, ${and(withFeeding)} (default: nhwc)`).choices(LAYOUTS),
    )
    .addOption(
      new Option(
        '--pixels <type>',
        'images as float32, x/255 for models of this library, or uint8 0..255 (default: float32)',
      ).choices(PIXELS),
    )
    .addOption(
      new Option(
        '--quantize <type>',
        `int8 computes with numbers of 8 bits, ${and(quantizing(table, 'int8'))}; float16 stores kernels in half the bytes, ${and(quantizing(table, 'float16'))}`,
      ).choices(QUANTIZATIONS),
    )
    .option(
      '--variable-patches',
      `make the patches that each expert keeps an input of the network, ${and(formatNames(table, entry => entry.takesVariablePatches === true))}`,
    )
    .option(
      '--calibrate <images...>',
      'images, or folders of them, that show --quantize int8 how large numbers get (default: training images of the run)',
    )
    .addOption(classNames)
    .addOption(inputScaling)
    .addOption(backendOption())
    .option('--no-verify', 'do not run the result')
    .option('--force', 'replace the export that is there')
    .option('--json', 'write one JSON object')
    .addHelpText('after', helpText(table))
    .action(async (model: string, request: ExportRequest) => {
      const { runExport } = await import('./export-action.js')
      await runExport(model, request, table)
    })
}

/** What follows the list of flags. */
function helpText(table: ExportFormatTable): string {
  return `
The result takes its place once it has been run and answers as the model does,
within 1e-4. With --quantize answers differ a little: the command tells by how
much.

To read it:
${readingLines(table)}

Examples:
  $ pmoe export runs/first --format onnx --pixels uint8 --layout nchw --out first.onnx
  $ pmoe export runs/first --format onnx --quantize int8 --out first-int8.onnx
  $ pmoe export runs/first --format tfjs --quantize float16 --out page/model
  $ pmoe export runs/first --format onnx --variable-patches --out first-any.onnx
  $ pmoe export runs/first --format savedmodel --out first-savedmodel`
}

/** The formats that can hold such numbers. */
function quantizing(table: ExportFormatTable, type: (typeof QUANTIZATIONS)[number]): string[] {
  return formatNames(table, ({ quantizations }) => quantizations?.includes(type) === true)
}

/** `tfjs and savedmodel are folders, onnx and weights files` */
function outputsText(table: ExportFormatTable): string {
  const folders = formatNames(table, ({ folder }) => folder !== undefined)
  const files = formatNames(table, ({ folder }) => folder === undefined)
  return `${and(folders)} are folders, ${and(files)} files`
}

/** `a, b and c` */
function and(names: readonly string[]): string {
  return new Intl.ListFormat('en-GB').format(names)
}

function readingLines(table: ExportFormatTable): string {
  const names = formatNames(table)
  const width = Math.max(...names.map(name => name.length))
  return names.map(name => `  ${name.padEnd(width)}  ${exportFormat(name, table).reading}`).join('\n')
}
