import type { Theme } from 'vitepress'
import DefaultTheme from 'vitepress/theme-without-fonts'
import { liveFigure } from './live-figure.js'
import './site.css'

export default {
  extends: DefaultTheme,
  enhanceApp({ app }) {
    app.component(
      'MethodFigure',
      liveFigure(async root => (await import('../../method/main.js')).mountMethodFigure(root)),
    )
  },
} satisfies Theme
