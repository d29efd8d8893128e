package gooauth2

// AnswerTo is how an error is told to go-oauth2's server.
var AnswerTo = answerTo
