package gooauth2

// AnswerTo returns go-oauth2's error for an error.
var AnswerTo = answerTo
