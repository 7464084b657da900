export const play = {
  "play.title": "Play",
  "play.consoles": "Console",
  "play.notPlayable": "menu only",
  "play.notPlayableWhy": "The emulator that is set up for this console does not start games, as far as it is known: a launch streams its menu.",
  "play.games": "Games for {console}",
  "play.search": "Search",
  "play.found.one": "{count} game",
  "play.found.other": "{count} games",
  "play.noGames": "The library has no games for this console.",
  "play.noneFound": "No title has these words.",
  "play.searchMore": "{count} more: search to find them.",
} as const;
